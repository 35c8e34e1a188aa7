create domain room as integer constraint room_is_needed not null;

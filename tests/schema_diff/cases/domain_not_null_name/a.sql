create domain room as integer constraint room_is_given not null;

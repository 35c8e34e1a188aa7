create domain room as integer not null;
comment on constraint room_not_null on domain room is 'nobody sleeps outside';

create domain positive as integer constraint positive_check check (value > 0) not null;

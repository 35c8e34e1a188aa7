create domain positive as integer check (value > 0);

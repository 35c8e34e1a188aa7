create domain positive as integer;

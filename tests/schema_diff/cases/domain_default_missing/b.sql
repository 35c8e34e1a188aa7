create domain amount as integer;

create domain amount as integer not null;

create domain room as integer not null;

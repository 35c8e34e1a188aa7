create domain positive as integer constraint more check (value > 0);

create domain positive as integer;
alter domain positive add constraint more check (value > 0);

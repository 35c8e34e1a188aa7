create table guest (number integer not null);
create domain room as integer not null;

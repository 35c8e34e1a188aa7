create table visitor (id integer not null);
alter table visitor rename to guest;
alter table guest rename column id to number;
create domain chamber as integer not null;
alter domain chamber rename to room;

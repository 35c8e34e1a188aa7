create table guest (id integer not null);
create table member (id integer) inherits (guest);

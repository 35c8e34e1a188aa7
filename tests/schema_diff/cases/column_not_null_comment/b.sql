create table guest (id integer not null);

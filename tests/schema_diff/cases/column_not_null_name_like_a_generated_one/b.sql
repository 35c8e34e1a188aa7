create table guest (id integer not null, name text not null);

create table bottle (id integer);

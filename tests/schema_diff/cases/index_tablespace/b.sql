create table bottle (id integer);
create index bottle_id on bottle (id);

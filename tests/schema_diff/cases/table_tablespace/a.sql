create table bottle (id integer) tablespace cellar;

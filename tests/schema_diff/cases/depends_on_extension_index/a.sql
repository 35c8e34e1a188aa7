create table t (a int);
create index i on t (a);
alter index i depends on extension plpgsql;

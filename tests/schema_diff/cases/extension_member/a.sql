create table t (a int);
alter extension plpgsql add table t;

create table t (a int primary key);
alter index t_pkey depends on extension plpgsql;

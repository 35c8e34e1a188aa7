create table t (id integer primary key);
alter table t cluster on t_pkey;

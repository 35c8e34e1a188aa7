create table t (id integer primary key);
alter table t replica identity nothing;

create table t (id int primary key);
create schema app;
alter table t set schema app;

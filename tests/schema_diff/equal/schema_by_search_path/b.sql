create schema app;
set search_path = app;
create table t (id int primary key);
create index i on t (id);

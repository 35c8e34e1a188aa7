create schema app create table t (id int);

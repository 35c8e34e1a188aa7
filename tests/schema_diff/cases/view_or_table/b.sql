create table t (a integer, b text);
create table v (a integer);

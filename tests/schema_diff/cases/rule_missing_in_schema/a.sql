create table t (a integer, b integer);
create table log (a integer);

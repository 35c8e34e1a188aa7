create table t (a integer, b integer);
create sequence counter;

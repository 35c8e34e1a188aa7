create table t (a integer, b integer);
create sequence counter;
alter sequence counter owned by t.b;

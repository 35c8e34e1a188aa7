create table t (a integer, b text);
create view v as select a from t;
alter view v alter a set default 1;

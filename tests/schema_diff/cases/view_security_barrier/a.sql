create table t (a integer, b text);
create view v with (security_barrier) as select a from t;

create table t (a integer);
create view v as select a, a + 1 as b from t;

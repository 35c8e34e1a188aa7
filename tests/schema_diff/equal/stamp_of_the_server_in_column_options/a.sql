create table t (a integer, b text);
alter table t alter a set (n_distinct_inherited = 7, n_distinct = 5);
create materialized view m as select a, b from t;
alter materialized view m alter a set (n_distinct = 5);

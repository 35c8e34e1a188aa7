create table t (a integer, b text);
create materialized view m as select a from t;
alter materialized view m alter a set (n_distinct = 5);

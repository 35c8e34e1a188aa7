create table t (a integer, b text);
create materialized view m as select a from t;

create table t (a integer, b text);
create materialized view m with (fillfactor = 70) as select a from t;

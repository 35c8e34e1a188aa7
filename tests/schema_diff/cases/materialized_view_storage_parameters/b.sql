create table t (a integer, b text);
create materialized view m with (fillfactor = 80) as select a from t;

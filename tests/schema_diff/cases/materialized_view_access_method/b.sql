create table t (a integer, b text);
create access method other type table handler heap_tableam_handler;
create materialized view m as select a from t;

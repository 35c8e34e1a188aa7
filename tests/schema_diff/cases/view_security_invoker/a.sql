create table t (a integer, b text);
create view v with (security_invoker) as select a from t;

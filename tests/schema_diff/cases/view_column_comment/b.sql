create table t (a integer, b text);
create view v as select a from t;
comment on column v.a is 'old';

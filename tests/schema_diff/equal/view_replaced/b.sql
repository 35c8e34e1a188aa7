create table t (a integer);
create view v as select a from t;
create or replace view v as
    -- one more
    select a, (a + 1) as b from t;

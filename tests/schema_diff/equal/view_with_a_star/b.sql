create table t (a integer, b text);
create or replace view v (a, b) as (select t.a, t.b from public.t);

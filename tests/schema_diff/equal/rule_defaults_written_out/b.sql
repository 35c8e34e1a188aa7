create table t (a integer);
create or replace rule r as on insert to public.t do notify changed;

create table t (a integer);
comment on table t is 'old';
comment on table t is null;
comment on column t.a is '';

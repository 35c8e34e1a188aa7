create table t (a integer, b integer);
create table log (a integer);
create rule ru as on insert to t do instead nothing;
comment on rule ru on t is 'old';

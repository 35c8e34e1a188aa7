create table t (a integer, b integer);
create table log (a integer);
create rule ru as on delete to t do instead nothing;

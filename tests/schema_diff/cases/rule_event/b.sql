create table t (a integer, b integer);
create table log (a integer);
create rule ru as on update to t do instead nothing;

create table t (a integer, b integer);
create table log (a integer);
create rule ru as on insert to t where new.a > 0 do instead nothing;

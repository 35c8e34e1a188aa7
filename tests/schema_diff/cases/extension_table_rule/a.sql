create table t (a int, b int);
alter extension plpgsql add table t;
create rule r as on delete to t do instead nothing;

create table t (a int, b int);
alter extension plpgsql add table t;
comment on table t is 'the extension''s';

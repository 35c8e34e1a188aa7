create table t (a integer, owner text);
create policy own on t to pg_monitor using (a > 0);

create table t (a integer, owner text);
create policy own on t to pg_monitor, pg_read_all_data using (a > 0);

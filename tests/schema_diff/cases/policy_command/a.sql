create table t (a integer, owner text);
create policy own on t for select using (a > 0);

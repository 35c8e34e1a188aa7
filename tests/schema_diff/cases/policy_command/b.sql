create table t (a integer, owner text);
create policy own on t for update using (a > 0);

create table t (a integer, owner text);
create policy own on t using (a > 0) with check (a > 5);

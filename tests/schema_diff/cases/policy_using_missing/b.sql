create table t (a integer, owner text);
create policy own on t with check (a > 5);

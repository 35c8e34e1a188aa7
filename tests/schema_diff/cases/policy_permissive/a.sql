create table t (a integer, owner text);
create policy own on t as restrictive using (a > 0);

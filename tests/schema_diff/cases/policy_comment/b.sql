create table t (a integer, owner text);
create policy own on t using (a > 0);
comment on policy own on t is 'old';

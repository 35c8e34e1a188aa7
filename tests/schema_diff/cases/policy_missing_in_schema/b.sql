create table t (a integer, owner text);
create policy own on t using (owner = current_user);

create table t (id int primary key, a int, b text, c text);
alter table t enable row level security;

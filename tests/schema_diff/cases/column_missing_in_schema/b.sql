create table t (id int primary key, a int, b text, c text);
alter table t add column d date not null default now();

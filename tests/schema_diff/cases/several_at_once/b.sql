create table t (id int primary key, a int, b text, c text);
alter table t alter a set default 6;
create unique index i on t (a) where a > 0;

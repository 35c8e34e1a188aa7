create table t (id int primary key, a int, b text, c text);
create index i on t (lower(b));
alter index i alter column 1 set statistics 400;

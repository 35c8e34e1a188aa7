create table t (id int primary key, a int, b text, c text);
create index i on t (b, a);

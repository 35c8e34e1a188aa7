create table t (id int primary key, a int, b text, c text);
create table u (a int);
create index i on t (a);

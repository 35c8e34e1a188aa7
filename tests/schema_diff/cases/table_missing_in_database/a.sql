create table t (id int primary key, a int, b text, c text);
create table u (x int unique);

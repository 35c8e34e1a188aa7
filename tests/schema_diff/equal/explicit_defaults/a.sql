create table u (id int primary key);
create table t (a int references u, b int unique);

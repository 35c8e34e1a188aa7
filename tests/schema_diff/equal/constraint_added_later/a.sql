create table t (id int primary key, a int unique, check (a > 0));

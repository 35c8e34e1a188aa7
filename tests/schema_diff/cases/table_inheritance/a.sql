create table t (id int primary key, a int, b text, c text);
create table c (id int not null, a int, b text, c text, x int) inherits (t);

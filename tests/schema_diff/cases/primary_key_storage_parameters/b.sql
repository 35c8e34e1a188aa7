create table u (x int primary key);

create table u (x int not null primary key);

create table u (x int not null, constraint k primary key (x));

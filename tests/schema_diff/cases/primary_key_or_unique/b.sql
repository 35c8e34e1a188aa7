create table u (x int not null, constraint k unique (x));

create table u (x int not null, y int not null, primary key (x, y));

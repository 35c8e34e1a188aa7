create table u (x int, y int, primary key (x));

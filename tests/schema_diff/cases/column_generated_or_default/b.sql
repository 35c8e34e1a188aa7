create table u (x int, y int default 1);

create table u (x int, y int);

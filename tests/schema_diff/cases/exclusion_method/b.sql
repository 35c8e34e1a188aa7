create table u (x int, constraint k exclude using hash (x with =));

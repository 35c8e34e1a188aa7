create table u (
    x int,
    y int check (y > 0)
);

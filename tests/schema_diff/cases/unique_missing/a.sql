create table u (
    x int,
    unique (x)
);

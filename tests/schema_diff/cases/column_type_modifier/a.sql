create table u (
    x varchar(20),
    y numeric(10, 2)
);

create table u (x varchar(21), y numeric(10,3));

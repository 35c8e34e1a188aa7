create schema app;
create table u (x int);

create type ct as (x int);
create table u of ct;

create type ct as (x int);
create table u (x int);

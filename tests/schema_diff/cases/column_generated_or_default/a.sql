create table u (x int, y int generated always as (1) stored);

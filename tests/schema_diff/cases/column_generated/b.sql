create table u (x int, y int generated always as (x * 3) stored);

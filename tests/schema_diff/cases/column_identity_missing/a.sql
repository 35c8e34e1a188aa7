create table u (x int generated always as identity);

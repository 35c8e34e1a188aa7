create table u (x int unique nulls not distinct);

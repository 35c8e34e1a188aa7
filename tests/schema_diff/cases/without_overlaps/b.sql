create table u (x int4range, d daterange, constraint k unique (x, d));

create table q (x int, constraint k check (x > 0));
create table c () inherits (q);

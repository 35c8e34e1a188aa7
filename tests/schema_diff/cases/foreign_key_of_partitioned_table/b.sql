create table p (k int not null, v text) partition by list (k);
create table u (id int primary key, x int, unique (id, x));
create table p1 partition of p for values in (1);

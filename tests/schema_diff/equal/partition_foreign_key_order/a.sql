create table u (id int primary key);
create table p (k int references u) partition by list (k);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2);

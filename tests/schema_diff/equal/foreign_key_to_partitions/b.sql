create table p (k int primary key) partition by list (k);
create table t (k int references p);
create table p2 partition of p for values in (2);
create table p1 partition of p for values in (1);

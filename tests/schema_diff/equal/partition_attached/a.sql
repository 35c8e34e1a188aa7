create table p (k int not null, v text) partition by range (k);
create table p1 partition of p for values from (1) to (5);
create index i on p (v);

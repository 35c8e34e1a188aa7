create table p (k int not null, v text) partition by list (k);
create table p1 partition of p for values in (1);
create index i1 on p1 (v);
create index i on only p (v);
alter index i attach partition i1;

create table p (k int not null, v text) partition by range (k);
create table p1 (k int not null, v text);
alter table p attach partition p1 for values from (1) to (5);
create index i on p (v);

create table s (z int, constraint y check (z > 0));
create index x on s (z);
alter table s rename to t;
alter table t rename z to a;
alter table t rename constraint y to k;
alter index x rename to i;

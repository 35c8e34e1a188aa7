create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1);
alter table only p add constraint k unique (a);
alter table p1 add constraint p1_k unique (a);

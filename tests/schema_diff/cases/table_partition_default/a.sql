create table p (a integer) partition by list (a);
create table p1 partition of p default;

create table u (id int primary key);
create table p (k int) partition by list (k);
create table p2 partition of p for values in (2);
create table p1 partition of p for values in (1);
alter table p add foreign key (k) references u;

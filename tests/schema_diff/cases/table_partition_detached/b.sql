create table p (k int not null, v text) partition by list (k);
create table p1 (k int not null, v text);

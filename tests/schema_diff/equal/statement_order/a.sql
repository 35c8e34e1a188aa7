create table a (x int primary key);
create table b (y int);
create index b_y on b (y);

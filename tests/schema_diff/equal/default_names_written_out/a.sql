create table u (id int primary key);
create table t (a int unique check (a > 0) references u);
create index on t (a);

create table u (id int primary key);
create table t (a int, constraint k foreign key (a) references u);

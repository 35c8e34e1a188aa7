create table t (id int primary key, a int, b text, c text);
create table u (id int primary key, x int, unique (id, x));
alter table t add constraint k foreign key (a) references u;

create table u (id int primary key);
create table t (a int);
alter table t add constraint k foreign key (a) references u not valid;
alter table t validate constraint k;

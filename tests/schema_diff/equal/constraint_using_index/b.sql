create table t (a int not null);
create unique index k on t (a);
alter table t add primary key using index k;

create table t (id int primary key, a int, b text, c text);
alter table t alter a set default 5, alter b set not null;
create index i on t (a);

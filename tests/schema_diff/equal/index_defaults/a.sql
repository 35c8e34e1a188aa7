create table t (a int);
create index i on t (a);
create index j on t (a desc);

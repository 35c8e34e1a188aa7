create table t (status varchar(20));
create index i on t (status) where status in ('open', 'closed');

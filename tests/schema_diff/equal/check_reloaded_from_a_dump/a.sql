create table t (status varchar(20) check (status in ('open', 'closed')));

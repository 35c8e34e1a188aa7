create table t (a text default 'x', b int check (b > cast('3' as int)));

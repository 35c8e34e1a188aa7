create table t (a text check (a in ('x', 'y')));

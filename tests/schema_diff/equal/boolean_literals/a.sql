create table t (a boolean default true, b boolean default 'f');

create table t (a boolean default 't', b boolean default false);

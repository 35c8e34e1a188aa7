create table t (a int constraint must_be_there not null);

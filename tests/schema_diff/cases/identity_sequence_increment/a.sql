create table t (id integer generated always as identity (increment 2));

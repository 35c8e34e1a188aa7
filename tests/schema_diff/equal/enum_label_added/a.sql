create type e as enum ('a', 'b');
create table t (x e default 'b');

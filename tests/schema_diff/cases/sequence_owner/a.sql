create table t (a integer, b text);
create view v as select a from t;
create sequence s;
create function f() returns integer language sql as 'select 1';
create type e as enum ('x');
create schema app;
alter sequence s owner to pg_monitor;

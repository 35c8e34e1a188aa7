create function f() returns int language sql as 'select 1';
alter extension plpgsql add function f();
create or replace function f() returns int language sql immutable as 'select 2';
alter function f() owner to pg_monitor;

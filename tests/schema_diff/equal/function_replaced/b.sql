create function f() returns integer language sql as 'select 1';
create or replace function f() returns integer language sql immutable as 'select 2';

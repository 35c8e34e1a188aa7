set check_function_bodies = off;
create function f() returns integer language sql as 'select 1';

set check_function_bodies = off;
create function f() returns integer language plpgsql as 'select 1';

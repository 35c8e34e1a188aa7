create function f() returns int language sql as 'select 1';
alter extension plpgsql add function f();

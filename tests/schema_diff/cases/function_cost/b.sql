create function f() returns integer language sql cost 7 as $$ select 1 $$;

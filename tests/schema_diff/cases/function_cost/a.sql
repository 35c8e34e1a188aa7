create function f() returns integer language sql cost 5 as $$ select 1 $$;

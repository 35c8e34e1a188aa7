create function f() returns integer language sql parallel safe as $$ select 1 $$;

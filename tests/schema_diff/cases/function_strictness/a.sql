create function f() returns integer language sql strict as $$ select 1 $$;

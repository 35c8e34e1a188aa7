create function f() returns setof integer language sql as $$ select 1 $$;

create function f() returns integer language sql set search_path = pg_catalog as $$ select 1 $$;

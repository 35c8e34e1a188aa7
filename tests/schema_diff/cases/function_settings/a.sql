create function f() returns integer language sql set work_mem = '1MB' as $$ select 1 $$;

create function f() returns integer language sql set work_mem = '2MB' as $$ select 1 $$;

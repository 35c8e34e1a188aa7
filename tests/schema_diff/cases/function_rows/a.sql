create function f() returns setof integer language sql rows 5 as $$ select 1 $$;

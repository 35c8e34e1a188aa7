create function f() returns table (a integer, b integer) language sql as $$ select 1, 2 $$;

create function f() returns table (a integer, c integer) language sql as $$ select 1, 2 $$;

create function f(a integer default 2) returns integer language sql as $$ select 1 $$;

create function f(a integer) returns integer language sql as $$ select 1 $$;
create function f(a text) returns integer language sql as $$ select 1 $$;

create function g() returns integer language sql as $$ select 77 $$;

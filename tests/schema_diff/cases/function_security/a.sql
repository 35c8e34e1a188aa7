create function f() returns integer language sql security definer as $$ select 1 $$;

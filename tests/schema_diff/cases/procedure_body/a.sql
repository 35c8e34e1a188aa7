create procedure f() language sql as $$ select 1 $$;

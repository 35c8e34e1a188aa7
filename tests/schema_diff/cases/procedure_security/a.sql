create procedure f() language sql security definer as $$ select 1 $$;

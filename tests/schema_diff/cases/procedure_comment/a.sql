create procedure f() language sql as $$ select 1 $$;
comment on procedure f() is 'new';

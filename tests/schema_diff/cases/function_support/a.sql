create function f() returns setof integer language sql support generate_series_int4_support as $$ select 1 $$;

create type pair as (a int, b int);
create function same(pair, pair) returns bool language sql as 'select true';
create operator public.=== (procedure = same, rightarg = public.pair, leftarg = pair);
create cast (public.pair as pg_catalog.text) with inout;

create schema app;
create table app.r (id int, ts tstzrange, a text, b jsonb, c numeric(10,2) default 1.5, d timestamptz default now(),
  e text generated always as (upper(a)) stored, primary key (id),
  check (a in ('x','y') and c between 1 and 5), check (coalesce(a, '') <> ''));
create index on app.r using gin (b jsonb_path_ops);
create index on app.r (lower(a), (c + 1)) include (id) where a is not null and d > '2020-01-01';
create view app.rv as select r.id, r.a, count(*) filter (where r.c > 1) as n,
  extract(year from r.d) as y, substring(r.a from 2 for 3) as s,
  trim(both from a) as t, r.d at time zone 'UTC' as z, position('a' in a) p
  from app.r group by r.id, r.a, r.d;
create view app.rw as
  with recursive w as (select 1 as n union all select n + 1 from w where n < 5)
  select w.n, r.id from w join app.r on r.id = w.n left join lateral (select 1 as one) l on true
  where exists (select from app.r x where x.id = w.n);
create materialized view app.rm as select a, sum(c)
  over (partition by a order by id rows between unbounded preceding and current row)
  as s from app.r with no data;
create function app.body(x int) returns int language sql begin atomic select x + 1; end;
create function app.many() returns table (a int, b text) language sql begin atomic select r.id, r.a from app.r; end;
create rule rr as on update to app.rw do instead update app.r set a = 'x' where id = old.id;
create policy pol on app.r for select to pg_monitor using (a = current_user::text);

create table t (a integer);
create trigger tr before update on public.t for each row when (true or false) execute procedure suppress_redundant_updates_trigger();
drop trigger tr on t;
create trigger tr before update on public.t for row execute procedure pg_catalog.suppress_redundant_updates_trigger();

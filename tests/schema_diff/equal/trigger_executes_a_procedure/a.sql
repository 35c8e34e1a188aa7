create table t (a integer);
create trigger tr before update on t for each row execute function suppress_redundant_updates_trigger();

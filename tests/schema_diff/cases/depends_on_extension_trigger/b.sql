create table t (a int);
create trigger g before update on t for each row execute function suppress_redundant_updates_trigger();

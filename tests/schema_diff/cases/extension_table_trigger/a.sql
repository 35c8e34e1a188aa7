create table t (a int, b int);
alter extension plpgsql add table t;
create trigger suppress before update on t for each row execute function suppress_redundant_updates_trigger();

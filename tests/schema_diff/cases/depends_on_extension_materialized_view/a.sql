create materialized view m as select 1 as a;
alter materialized view m depends on extension plpgsql;

create materialized view m as select 'x'::text as a;
alter materialized view m set (toast.autovacuum_enabled = off);

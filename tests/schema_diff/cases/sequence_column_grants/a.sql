create sequence s;
grant select (last_value) on s to pg_monitor;

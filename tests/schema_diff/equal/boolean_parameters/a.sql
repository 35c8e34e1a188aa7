create table room (number integer) with (autovacuum_enabled = false, fillfactor = 70, toast.vacuum_truncate = on);
create view suite with (security_barrier = on) as select number from room;

create table room (number integer) with (fillfactor = 70, autovacuum_enabled = off, toast.vacuum_truncate);
create view suite with (security_barrier) as select number from room;

create table u (x int) with (fillfactor = 70, toast.autovacuum_enabled = off);

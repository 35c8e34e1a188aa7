create table u (x text) with (toast.autovacuum_enabled = off);

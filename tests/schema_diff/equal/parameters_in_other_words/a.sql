create table room (number integer, name text, words tsvector) with (autovacuum_enabled = f, fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.10, autovacuum_vacuum_cost_delay = 2, vacuum_index_cleanup = on,
    toast.autovacuum_vacuum_scale_factor = 1e-1, toast.vacuum_index_cleanup = AUTO);
alter table room alter number set (n_distinct = -0.50);
create index numbers on room using brin (number) with (pages_per_range = 16, autosummarize = yes);
create index names on room using gist (words tsvector_ops (siglen = 100)) with (buffering = ON);
create view suite with (security_barrier = t) as select number from room;
create materialized view loft as select number from room;
alter materialized view loft alter number set (n_distinct = 5);

create table room (number integer, name text, words tsvector) with (toast.vacuum_index_cleanup = auto,
    vacuum_index_cleanup = true, fillfactor = ' 0x46 ', autovacuum_vacuum_scale_factor = '.1', autovacuum_enabled = of,
    toast.autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 2.0);
alter table room alter number set (n_distinct = '-5e-1');
create index numbers on room using brin (number) with (autosummarize, pages_per_range = '16.0');
create index names on room using gist (words tsvector_ops (siglen = '0x64')) with (buffering = 'on');
create view suite with (security_barrier) as select number from room;
create materialized view loft as select number from room;
alter materialized view loft alter number set (n_distinct = 5.0);

create table t (words tsvector);
create index i on t using gist (words tsvector_ops (siglen = 100)) with (buffering = on);

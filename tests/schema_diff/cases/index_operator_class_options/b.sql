create table t (words tsvector);
create index i on t using gist (words tsvector_ops (siglen = 200)) with (buffering = 'ON');

create table u (x tsvector);
create index i on u using gist (x tsvector_ops (siglen = 100));

create table u (x tsvector);
create index i on u using gist (x);

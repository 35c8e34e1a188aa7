create extension postgres_fdw;
create foreign data wrapper own;

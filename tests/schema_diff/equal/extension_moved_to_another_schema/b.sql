create schema more;
create extension hstore;
alter extension hstore set schema more;

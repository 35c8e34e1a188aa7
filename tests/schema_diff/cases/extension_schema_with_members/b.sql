create schema more;
create extension hstore;

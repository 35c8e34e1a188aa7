create schema more;
create extension hstore schema more;

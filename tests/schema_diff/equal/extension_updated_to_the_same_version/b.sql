create extension hstore version '1.4';
alter extension hstore update;

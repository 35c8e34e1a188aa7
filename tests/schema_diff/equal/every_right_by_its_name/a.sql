create schema app;
create table app.t (a int);
grant select, insert, update, delete, truncate, references, trigger on app.t to pg_monitor;
alter default privileges in schema app
    grant select, insert, update, delete, truncate, references, trigger on tables to pg_monitor;

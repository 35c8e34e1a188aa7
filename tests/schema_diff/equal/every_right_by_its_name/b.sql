create schema app;
create table app.t (a int);
grant trigger, references, truncate, delete, update, insert, select on app.t to pg_monitor;
alter default privileges in schema app
    grant trigger, references, truncate, delete, update, insert, select on tables to pg_monitor;

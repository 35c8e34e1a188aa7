create schema app;
create table app.t (id int primary key);
create index i on app.t (id);

create table t (a integer, b integer);
create function tf() returns trigger language plpgsql as 'begin return new; end';
create function tg() returns trigger language plpgsql as 'begin return new; end';
create view v as select a from t;
create trigger tr instead of insert on v for each row execute function tf();

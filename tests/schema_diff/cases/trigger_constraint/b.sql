create table t (a integer, b integer);
create function tf() returns trigger language plpgsql as 'begin return new; end';
create function tg() returns trigger language plpgsql as 'begin return new; end';
create trigger tr after update on t for each row execute function tf();

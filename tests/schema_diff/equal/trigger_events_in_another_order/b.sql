create table t (a integer);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger tr before update or insert on t for each row execute function f();

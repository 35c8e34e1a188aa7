create function tf() returns trigger language plpgsql as 'begin return new; end';
create table stay (room int) partition by list (room);
create table stay_1 partition of stay for values in (1);
create trigger t before insert on stay for each row execute function tf();

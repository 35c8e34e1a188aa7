create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1);
create function tf() returns trigger language plpgsql as 'begin return new; end';
create trigger tr after insert on p for each row execute function tf();

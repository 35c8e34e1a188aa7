create function tf() returns trigger language plpgsql as 'begin return new; end';
create table stay (room int);
create constraint trigger t after insert on stay for each row execute function tf();

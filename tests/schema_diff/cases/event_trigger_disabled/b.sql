create function ef() returns event_trigger language plpgsql as 'begin end';
create function eg() returns event_trigger language plpgsql as 'begin end';
create event trigger et on ddl_command_end execute function ef();

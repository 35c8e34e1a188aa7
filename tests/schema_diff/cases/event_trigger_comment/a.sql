create function ef() returns event_trigger language plpgsql as 'begin end';
create function eg() returns event_trigger language plpgsql as 'begin end';
create event trigger et on sql_drop execute function ef();
comment on event trigger et is 'new';

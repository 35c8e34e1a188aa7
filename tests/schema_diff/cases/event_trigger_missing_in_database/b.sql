create function ef() returns event_trigger language plpgsql as 'begin end';
create function eg() returns event_trigger language plpgsql as 'begin end';

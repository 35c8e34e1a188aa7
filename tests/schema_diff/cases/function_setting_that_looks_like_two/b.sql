create function total() returns integer language sql set app.unit = 'cent' set app.mode = 'x' as 'select 1';

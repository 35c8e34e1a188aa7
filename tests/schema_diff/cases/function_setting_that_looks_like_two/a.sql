create function total() returns integer language sql set app.unit = 'cent, app.mode=x' as 'select 1';

create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));
create function f(integer) returns integer language sql as 'select 1';

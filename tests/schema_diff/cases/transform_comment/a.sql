create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));
comment on transform for integer language sql is 'new';

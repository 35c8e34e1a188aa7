create function other_from(internal) returns internal language internal immutable strict as 'prsd_lextype';
create function other_to(internal) returns integer language internal immutable strict as 'int4recv';
create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));

create function to_internal(internal) returns internal language internal immutable strict as 'textsend';
create function from_internal(internal) returns integer language internal immutable strict as 'int4in';
create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));

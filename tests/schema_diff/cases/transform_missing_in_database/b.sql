create function to_internal(internal) returns internal language internal immutable strict as 'textsend';
create function from_internal(internal) returns integer language internal immutable strict as 'int4in';

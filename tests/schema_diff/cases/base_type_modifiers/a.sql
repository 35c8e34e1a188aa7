create type label;
create function label_in(cstring) returns label language internal immutable strict as 'textin';
create function label_out(label) returns cstring language internal immutable strict as 'textout';
create function label_typmod_in(cstring[])
    returns integer language internal immutable strict as 'varchartypmodin';
create function label_typmod_out(integer)
    returns cstring language internal immutable strict as 'varchartypmodout';
create type label (input = label_in, output = label_out, typmod_in = label_typmod_in, typmod_out = label_typmod_out);

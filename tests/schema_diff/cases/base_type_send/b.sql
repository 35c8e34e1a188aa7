create type label;
create function label_in(cstring) returns label language internal immutable strict as 'textin';
create function label_out(label) returns cstring language internal immutable strict as 'textout';
create function label_send(label) returns bytea language internal stable strict as 'textsend';
create type label (input = label_in, output = label_out);

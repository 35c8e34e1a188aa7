create type label;
create function label_in(cstring) returns label language internal immutable strict as 'textin';
create function label_out(label) returns cstring language internal immutable strict as 'textout';
create function label_analyze(internal) returns boolean language internal strict as 'array_typanalyze';
create type label (input = label_in, output = label_out, analyze = label_analyze);

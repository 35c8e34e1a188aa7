create function f(integer) returns integer language internal as 'int4um';

create function eq(text, integer) returns boolean language sql as 'select true';
create function ne(text, integer) returns boolean language sql as 'select false';
create function qe(integer, text) returns boolean language sql as 'select true';
create function number(text, integer) returns integer language sql as 'select 1';
create operator === (leftarg = text, rightarg = integer, function = eq);

create function eq(text, integer) returns boolean language sql as 'select true';
create function ne(text, integer) returns boolean language sql as 'select false';
create function qe(integer, text) returns boolean language sql as 'select true';

create function back(integer, integer) returns integer language sql immutable as 'select btint4cmp($2, $1)';
create function forth(integer, integer) returns integer language sql immutable as 'select -btint4cmp($1, $2)';

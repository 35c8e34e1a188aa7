create function back(integer, integer) returns integer language sql immutable as 'select btint4cmp($2, $1)';
create function forth(integer, integer) returns integer language sql immutable as 'select -btint4cmp($1, $2)';
create operator class backwards for type integer using btree
    as operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 back(integer, integer);

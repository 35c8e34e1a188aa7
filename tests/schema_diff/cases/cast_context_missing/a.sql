create type pair as (a integer, b integer);
create function as_text(pair) returns text language sql as 'select $1.a::text';
create function as_words(pair) returns text language sql as 'select $1.b::text';
create cast (pair as text) with function as_text(pair) as assignment;

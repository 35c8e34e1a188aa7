create type pair as (a integer, b integer);
create function same(pair, pair) returns boolean language sql as 'select true';
create operator === (leftarg = pair, rightarg = pair, function = same);
create cast (pair as text) with inout;

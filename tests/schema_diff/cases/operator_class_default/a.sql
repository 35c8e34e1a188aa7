create type pair as (a integer);
create function cmp(pair, pair) returns integer language sql immutable as 'select 0';
create operator class first default for type pair using btree as function 1 cmp(pair, pair);

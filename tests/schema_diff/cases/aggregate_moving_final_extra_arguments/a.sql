create function fin(integer, integer) returns integer language sql as 'select 1';
create function step(bigint, integer) returns bigint language sql as 'select 1::bigint';
create function step(integer, integer, integer) returns integer language sql as 'select 1';
create aggregate total(integer) (sfunc = int4pl, stype = integer, msfunc = int4pl, minvfunc = int4mi, mstype = integer, mfinalfunc = fin, mfinalfunc_extra);

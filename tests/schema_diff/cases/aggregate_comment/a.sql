create aggregate total(integer) (sfunc = int4pl, stype = integer);
comment on aggregate total(integer) is 'new';

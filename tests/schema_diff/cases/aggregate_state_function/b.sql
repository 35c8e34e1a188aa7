create aggregate total(integer) (sfunc = int4mi, stype = integer);

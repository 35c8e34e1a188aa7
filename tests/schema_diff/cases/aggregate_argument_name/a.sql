create aggregate total(a integer) (sfunc = int4pl, stype = integer);

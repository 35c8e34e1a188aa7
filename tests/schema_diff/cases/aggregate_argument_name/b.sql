create aggregate total(b integer) (sfunc = int4pl, stype = integer);

create aggregate total (basetype = integer, sfunc = int4pl, stype = int4);

create aggregate total(integer) (sfunc = int4pl, stype = integer, finalfunc = int4abs, finalfunc_modify = read_write);

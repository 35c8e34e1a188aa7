create table t (a character(1), b bit(1), c character varying);

create table t (a integer, b bigint, c character varying(5), d timestamp with time zone, e boolean, f numeric(4, 1), g double precision, h character(3));

create table t (a int, b int8, c varchar(5), d timestamptz, e bool, f decimal(4,1), g float8, h char(3));

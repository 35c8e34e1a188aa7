create table t (b text, constraint x exclude (lower(b) with =));
alter index x alter column 1 set statistics 400;

create table t (b text, constraint x exclude (lower(b) with =));

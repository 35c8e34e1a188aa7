create table t (b int, a int, constraint k check (a < b));

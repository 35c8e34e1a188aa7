create table t (a int, b int, constraint k check (a < b));

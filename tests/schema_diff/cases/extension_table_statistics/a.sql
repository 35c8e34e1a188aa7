create table t (a int, b int);
alter extension plpgsql add table t;
create statistics s on a, b from t;

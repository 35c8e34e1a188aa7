create table t (a integer, b integer);
create table u (a integer, b integer);
create statistics s (ndistinct) on a, b from t;

create table u (a integer primary key);
create table t (a integer constraint t_u references u);

create table t (a integer constraint more check (a > 0), b text);
create index t_b on t (b);

create table t (a int);
comment on type _t is 'rows';

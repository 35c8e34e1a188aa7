create table t (a int);
revoke usage on type t from public;

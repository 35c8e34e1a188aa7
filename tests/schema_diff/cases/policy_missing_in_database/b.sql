create table t (a integer, owner text);

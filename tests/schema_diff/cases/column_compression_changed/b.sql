create table t (a text);
alter table t alter a set compression pglz;
alter table t alter a set compression default;

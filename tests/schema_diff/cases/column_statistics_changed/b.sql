create table t (a integer);
alter table t alter a set statistics 60;

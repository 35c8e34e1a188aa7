create table p (a integer) partition by list (a);

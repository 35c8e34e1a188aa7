create table p (a integer) partition by range (a);

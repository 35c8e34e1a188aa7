create table p (k int);

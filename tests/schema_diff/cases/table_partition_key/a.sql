create table p (k int, v int) partition by list (k);

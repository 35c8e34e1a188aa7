create table p (k int, v int) partition by range (k, v);

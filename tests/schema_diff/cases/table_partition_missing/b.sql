create table p (k int not null, v text) partition by list (k);

create table u (x int primary key with (fillfactor = 60));

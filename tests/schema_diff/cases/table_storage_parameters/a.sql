create table u (x int) with (fillfactor = 80);

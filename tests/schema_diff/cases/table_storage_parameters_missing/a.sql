create table t (a text) with (fillfactor = 70);

create table u (x timestamp(3));

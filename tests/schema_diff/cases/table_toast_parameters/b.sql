create table u (x text);

create table u (x timestamptz(3));

create table u (x text[] default array[]::text[]);

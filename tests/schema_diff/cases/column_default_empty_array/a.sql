create table u (x text[] default '{}');

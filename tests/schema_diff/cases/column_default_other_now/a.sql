create table u (x timestamptz default now());

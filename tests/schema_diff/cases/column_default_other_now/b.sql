create table u (x timestamptz default current_timestamp);

create table t (a text default 'x'::text, b int check (b > '3'::integer));

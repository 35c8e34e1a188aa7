create table t (a text check (a = any (array['x', 'y'])));

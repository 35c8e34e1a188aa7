create table u (id int constraint u_pkey primary key);
create table t (a int, constraint t_a_key unique (a), constraint t_a_check check (a > 0), constraint t_a_fkey foreign key (a) references u (id));
create index t_a_idx on t using btree (a asc nulls last);

create table t (a int);
create index i on only public.t using btree (a int4_ops asc nulls last);
create index concurrently j on t (a desc nulls first);

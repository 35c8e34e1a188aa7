create table t (status varchar(20));
create index i on t (status) where ((status)::text = any ((array['open'::character varying, 'closed'::character varying])::text[]));
drop index i;
create index i on t (status) where ((status)::text = any (array[('open'::character varying)::text, ('closed'::character varying)::text]));

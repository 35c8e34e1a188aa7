create table t (
    status character varying(20),
    constraint t_status_check check (((status)::text = any (array[('open'::character varying)::text, ('closed'::character varying)::text])))
);

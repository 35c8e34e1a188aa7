create table t (id bigint not null);
alter table t alter id add generated always as identity (sequence name t_id_seq start with 1 increment by 1 no minvalue no maxvalue cache 1);

create table guest (id integer constraint id_not_null not null, name text constraint name_must_be_not_null not null);

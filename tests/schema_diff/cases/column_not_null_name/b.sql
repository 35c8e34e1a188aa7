create table guest (id integer constraint id_is_needed not null);

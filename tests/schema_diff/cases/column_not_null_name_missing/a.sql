create table guest (id integer constraint id_is_given not null);

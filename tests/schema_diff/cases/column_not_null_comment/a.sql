create table guest (id integer not null);
comment on constraint guest_id_not_null on guest is 'nobody comes unannounced';

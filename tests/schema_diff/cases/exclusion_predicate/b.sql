create table r (during tsrange, area box);
alter table r add constraint k exclude using gist (during with &&);

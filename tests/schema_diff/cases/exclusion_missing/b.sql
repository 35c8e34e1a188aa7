create table r (during tsrange, area box);

create table u (x text, constraint k exclude using btree (x with =));

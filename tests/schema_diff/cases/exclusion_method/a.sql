create table u (x int, constraint k exclude using btree (x with =));

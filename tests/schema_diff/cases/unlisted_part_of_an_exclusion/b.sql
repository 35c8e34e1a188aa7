create table u (x text, constraint k exclude using btree (x text_pattern_ops with =));

create operator family numbers using btree;
alter operator family numbers using btree add function 1 (integer, bigint) btint48cmp(integer, bigint);

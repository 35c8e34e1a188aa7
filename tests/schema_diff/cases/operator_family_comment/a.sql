create operator family numbers using btree;
comment on operator family numbers using btree is 'new';

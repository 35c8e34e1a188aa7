create operator family numbers using btree;
create operator family others using btree;
create operator class c for type integer using btree family others as function 1 btint4cmp(integer, integer);

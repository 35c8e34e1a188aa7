create operator class c for type integer using btree as function 1 btint4cmp(integer, integer);

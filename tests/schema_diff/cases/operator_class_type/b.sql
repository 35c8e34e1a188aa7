create operator class c for type bigint using btree as function 1 btint8cmp(bigint, bigint);

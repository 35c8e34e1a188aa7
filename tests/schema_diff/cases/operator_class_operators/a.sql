create operator class few for type integer using btree
    as operator 1 <, operator 3 =, function 1 btint4cmp(integer, integer);

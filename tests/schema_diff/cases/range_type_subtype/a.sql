create type span as range (subtype = bigint);

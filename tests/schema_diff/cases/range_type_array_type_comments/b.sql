create type span as range (subtype = integer);

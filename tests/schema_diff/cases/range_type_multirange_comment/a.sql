create type span as range (subtype = integer);
comment on type span_multirange is 'several spans';

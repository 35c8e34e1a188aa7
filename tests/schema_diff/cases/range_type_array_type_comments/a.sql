create type span as range (subtype = integer);
comment on type span[] is 'new';
comment on type span_multirange[] is 'new';

create type span as range (subtype = integer);
comment on function span(int, int) is 'new 0';
comment on function span(int, int, text) is 'new 1';
comment on function span_multirange() is 'new 2';
comment on function span_multirange(span) is 'new 3';
comment on function span_multirange(variadic span[]) is 'new 4';
comment on cast (span as span_multirange) is 'new 5';

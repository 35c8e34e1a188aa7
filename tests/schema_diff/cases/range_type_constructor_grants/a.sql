create type span as range (subtype = integer);
revoke execute on function span(int, int) from public;
revoke execute on function span(int, int, text) from public;
revoke execute on function span_multirange() from public;
revoke execute on function span_multirange(span) from public;
revoke execute on function span_multirange(span[]) from public;

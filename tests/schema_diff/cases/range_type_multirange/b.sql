create type span as range (subtype = integer, multirange_type_name = many_spans);

create text search configuration words (copy = simple);
alter text search configuration words alter mapping for asciiword with english_stem, simple;

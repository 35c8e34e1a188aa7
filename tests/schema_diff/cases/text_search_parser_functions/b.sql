create function other_end(internal) returns void language internal strict as 'prsd_end';
create function other_lexize(internal, internal, internal, internal)
    returns internal language internal strict as 'dsimple_lexize';
create text search parser other (start = prsd_start, gettoken = prsd_nexttoken, end = other_end, lextypes = prsd_lextype);

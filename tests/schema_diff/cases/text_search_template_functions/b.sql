create function other_end(internal) returns void language internal strict as 'prsd_end';
create function other_lexize(internal, internal, internal, internal)
    returns internal language internal strict as 'dsimple_lexize';
create text search template own (lexize = other_lexize, init = dsimple_init);

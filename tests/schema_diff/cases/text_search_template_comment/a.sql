create text search template own (lexize = dsimple_lexize, init = dsimple_init);
comment on text search template own is 'new';

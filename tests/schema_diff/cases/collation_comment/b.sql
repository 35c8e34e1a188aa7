create collation plain (locale = 'C');
comment on collation plain is 'old';

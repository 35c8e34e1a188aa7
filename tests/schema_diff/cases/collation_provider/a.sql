create collation plain (provider = builtin, locale = 'C');

create collation plain (locale = 'POSIX');

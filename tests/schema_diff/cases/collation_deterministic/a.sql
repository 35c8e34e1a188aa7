create collation plain (provider = icu, locale = 'und', deterministic = false);

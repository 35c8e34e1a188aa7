create text search configuration words (copy = simple);

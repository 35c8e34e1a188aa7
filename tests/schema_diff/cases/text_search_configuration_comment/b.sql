create text search configuration words (copy = simple);
comment on text search configuration words is 'old';

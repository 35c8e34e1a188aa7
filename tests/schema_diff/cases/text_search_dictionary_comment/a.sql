create text search dictionary stem (template = simple);
comment on text search dictionary stem is 'new';

create text search dictionary stem (template = simple);

create text search dictionary stem (template = snowball, language = english);

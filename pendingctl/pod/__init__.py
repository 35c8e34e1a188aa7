"""One pod: it asks questions on a platform, answers clicks, delivers answers and keeps cards up to date."""

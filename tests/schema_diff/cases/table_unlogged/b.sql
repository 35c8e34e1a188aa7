create unlogged table u (x int);

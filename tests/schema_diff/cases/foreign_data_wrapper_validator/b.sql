create foreign data wrapper own;

create foreign data wrapper fdw;

create foreign data wrapper fdw;
create server s foreign data wrapper fdw;

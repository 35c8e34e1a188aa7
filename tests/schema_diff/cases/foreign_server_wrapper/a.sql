create foreign data wrapper fdw;
create foreign data wrapper other;
create server s foreign data wrapper fdw;

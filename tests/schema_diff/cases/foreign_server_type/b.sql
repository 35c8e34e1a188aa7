create foreign data wrapper fdw;
create server s type 'b' foreign data wrapper fdw;

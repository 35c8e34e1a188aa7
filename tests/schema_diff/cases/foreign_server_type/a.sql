create foreign data wrapper fdw;
create server s type 'a' foreign data wrapper fdw;

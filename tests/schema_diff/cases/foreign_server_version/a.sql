create foreign data wrapper fdw;
create server s version '2' foreign data wrapper fdw;

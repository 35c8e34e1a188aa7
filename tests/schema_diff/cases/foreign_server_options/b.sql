create foreign data wrapper fdw;
create server s foreign data wrapper fdw options (host 'b');

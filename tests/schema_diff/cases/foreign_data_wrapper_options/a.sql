create foreign data wrapper fdw options (debug 'true');

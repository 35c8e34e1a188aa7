create foreign data wrapper fdw;
create server s foreign data wrapper fdw;
create foreign table f (a integer) server s options (x '2');

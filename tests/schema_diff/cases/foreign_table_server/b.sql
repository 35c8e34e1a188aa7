create foreign data wrapper fdw;
create server s foreign data wrapper fdw;
create server s2 foreign data wrapper fdw;
create foreign table f (a integer) server s2;

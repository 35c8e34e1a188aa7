create foreign data wrapper fdw;
create server s foreign data wrapper fdw;
comment on server s is 'new';

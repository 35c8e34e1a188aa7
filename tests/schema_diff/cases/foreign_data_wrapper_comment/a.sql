create foreign data wrapper fdw;
comment on foreign data wrapper fdw is 'new';

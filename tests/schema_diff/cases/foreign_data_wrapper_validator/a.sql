create foreign data wrapper own validator postgresql_fdw_validator;

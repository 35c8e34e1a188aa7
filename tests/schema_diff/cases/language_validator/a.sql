create language own handler plpgsql_call_handler validator plpgsql_validator;

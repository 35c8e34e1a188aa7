create trusted language own handler plpgsql_call_handler;

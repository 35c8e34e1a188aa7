create language own handler plpgsql_call_handler;
comment on language own is 'new';

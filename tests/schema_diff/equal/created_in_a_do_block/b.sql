do $$ begin create table t (a int); end $$;

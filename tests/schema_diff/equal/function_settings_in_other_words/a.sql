create function f() returns int language sql
set work_mem = '4MB' set enable_seqscan = off set search_path = app, "Odd", "$user" set statement_timeout = '1min'
set random_page_cost = 1.10 set synchronous_commit = true set timezone = 'utc' set datestyle = 'ISO, DMY'
return 1;

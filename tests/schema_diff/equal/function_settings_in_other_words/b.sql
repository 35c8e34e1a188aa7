create function f() returns int language sql
set datestyle = 'dmy,iso' set time zone 'UTC' set synchronous_commit = 'ON' set random_page_cost = '11e-1'
set statement_timeout = 60000 set search_path = 'app', 'Odd', '$user' set enable_seqscan = 'FALSE' set work_mem = '4096 kB'
return 1;

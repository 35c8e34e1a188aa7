create function f() returns int language sql set search_path = a, b return 1;

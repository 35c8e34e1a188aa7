create function f() returns int language sql return 1;

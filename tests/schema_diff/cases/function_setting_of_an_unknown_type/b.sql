create function f() returns int language sql set app.strict = true return 1;

create function f() returns int language sql set app.strict = on return 1;

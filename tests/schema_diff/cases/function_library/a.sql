create function f() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';

create function f() returns int language sql return 1;
alter function f depends on extension plpgsql;

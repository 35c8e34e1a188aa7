create table t (a int);
create function f() returns trigger language plpgsql as 'begin return null; end';
create trigger tr after insert on t for each row execute function f('\000', 'a\', 'it''s \000', '', 'new');

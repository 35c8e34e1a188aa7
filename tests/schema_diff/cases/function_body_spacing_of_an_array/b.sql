create function floors() returns integer[] language sql as $$select ARRAY[1, 2]$$;

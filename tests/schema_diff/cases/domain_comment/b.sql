create domain amount as integer;
comment on domain amount is 'euros';

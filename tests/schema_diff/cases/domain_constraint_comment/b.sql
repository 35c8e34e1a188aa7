create domain positive as integer constraint more check (value > 0);
comment on constraint more on domain positive is 'over';

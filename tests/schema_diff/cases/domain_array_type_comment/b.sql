create domain d as int;
comment on type d[] is 'several';

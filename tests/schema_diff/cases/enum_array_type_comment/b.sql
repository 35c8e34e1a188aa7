create type mood as enum ('sad');
comment on type mood[] is 'old';

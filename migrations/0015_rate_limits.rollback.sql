-- loses: what each key of a rate limit has used: its whole burst is free again
drop table pending_rate_limit;

set timezone = 'Asia/Tokyo';
create table t (a timestamptz default '2026-01-01 21:00:00');

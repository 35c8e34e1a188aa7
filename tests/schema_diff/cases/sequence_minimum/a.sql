create sequence counter minvalue -5 start 1;

create sequence counter minvalue 0 start 1;

create sequence counter start 5;

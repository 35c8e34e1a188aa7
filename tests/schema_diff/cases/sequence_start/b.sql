create sequence counter start 7;

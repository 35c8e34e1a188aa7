create sequence counter increment 5;

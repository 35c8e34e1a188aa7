create schema app;
comment on schema app is 'the app';

create table "Sel""ect" ("A b" int);

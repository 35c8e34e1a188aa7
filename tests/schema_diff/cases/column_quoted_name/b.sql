create table "Sel""ect" ("A b" bigint);

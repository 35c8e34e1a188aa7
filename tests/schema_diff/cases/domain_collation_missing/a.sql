create domain label as text collate "C";

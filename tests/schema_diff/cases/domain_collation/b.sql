create domain label as text collate "POSIX";

create conversion latin for 'LATIN9' to 'UTF8' from iso8859_to_utf8;

create conversion latin for 'UTF8' to 'LATIN9' from utf8_to_iso8859;

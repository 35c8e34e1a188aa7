"""The limits' part of a race on streams: pods take from keys that they share, and a checker judges what they got."""

"""The tables: the migrations that make them, and schema.sql, which says what those lead to."""

"""The pods of a race: processes with a bridge each, what they record, and how the coordinator commands them."""

"""What a race will do, from its seed alone: questions and operations, and the faults that strike."""

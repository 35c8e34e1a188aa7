"""What goes wrong in a race, at the moment that the plan wants."""

"""simulate-race: pods race for real rows, and a checker judges whether the laws held."""

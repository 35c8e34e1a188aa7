"""simulate-race: pods race for real rows, and a checker says whether the laws held."""

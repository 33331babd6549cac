"""Commands of the MLproject: each parses, calls the package and prints where to look."""

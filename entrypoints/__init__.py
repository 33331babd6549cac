"""One module for each entry of MLproject: it runs the command of that name."""

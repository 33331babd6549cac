"""Commands of the console script ``mer`` and of the entries of MLproject."""

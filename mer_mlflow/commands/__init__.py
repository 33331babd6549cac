"""Commands: what the entries of MLproject and the console script ``mer`` do."""

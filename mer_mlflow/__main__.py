"""``python -m mer_mlflow`` is the console script ``mer``."""

from mer_mlflow.commands.main import main

if __name__ == "__main__":
    main()

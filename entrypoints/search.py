"""search: see :mod:`mer_mlflow.commands.search`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["search", *sys.argv[1:]])

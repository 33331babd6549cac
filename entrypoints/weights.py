"""weights: see :mod:`mer_mlflow.commands.weights`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["weights", *sys.argv[1:]])

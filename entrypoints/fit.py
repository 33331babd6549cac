"""fit: see :mod:`mer_mlflow.commands.fit`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["fit", *sys.argv[1:]])

"""export: see :mod:`mer_mlflow.commands.export`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["export", *sys.argv[1:]])

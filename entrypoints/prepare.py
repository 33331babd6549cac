"""prepare: see :mod:`mer_mlflow.commands.prepare`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["prepare", *sys.argv[1:]])

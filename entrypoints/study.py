"""study: see :mod:`mer_mlflow.commands.study`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["study", *sys.argv[1:]])

"""transfer: see :mod:`mer_mlflow.commands.transfer`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["transfer", *sys.argv[1:]])

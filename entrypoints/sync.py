"""sync: see :mod:`mer_mlflow.commands.sync`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["sync", *sys.argv[1:]])

"""report: see :mod:`mer_mlflow.commands.report`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["report", *sys.argv[1:]])

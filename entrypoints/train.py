"""train: see :mod:`mer_mlflow.commands.train`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["train", *sys.argv[1:]])

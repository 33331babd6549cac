"""augment: see :mod:`mer_mlflow.commands.augment`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["augment", *sys.argv[1:]])

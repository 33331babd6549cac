"""predict: see :mod:`mer_mlflow.commands.predict`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["predict", *sys.argv[1:]])

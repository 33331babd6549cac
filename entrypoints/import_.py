"""import: see :mod:`mer_mlflow.commands.import_`."""

import sys

from mer_mlflow.commands.main import run

if __name__ == "__main__":
    run(["import", *sys.argv[1:]])

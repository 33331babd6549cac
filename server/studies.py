"""Make Optuna's tables, or bring those of an older Optuna up to date; the dashboard does neither.

python studies.py URL
"""

from __future__ import annotations

import sys

from optuna.storages import RDBStorage
from sqlalchemy import create_engine, inspect

OF_MLFLOW = ("experiments", "runs")
"""Tables by which a database of MLflow is known: Optuna's would make it unusable."""


def main() -> None:
    """Run the command."""
    url = sys.argv[1]
    if all(map(inspect(create_engine(url)).has_table, OF_MLFLOW)):
        sys.exit("studies: this database has the tables of MLflow; name another one")
    storage = RDBStorage(url, skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        storage.upgrade()
    print(f"studies: tables of version {storage.get_current_version()}")


if __name__ == "__main__":
    main()

"""Make Optuna's tables, or bring those of an older Optuna up to date; the dashboard does neither.

python studies.py URL
"""

from __future__ import annotations

import sys

from optuna.storages import RDBStorage


def main() -> None:
    """Run the command."""
    storage = RDBStorage(sys.argv[1], skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        storage.upgrade()
    print(f"studies: tables of version {storage.get_current_version()}")


if __name__ == "__main__":
    main()

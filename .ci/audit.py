"""Known vulnerabilities of the packages that the images install, found by pip-audit.

python .ci/audit.py LOCK...

Exit with 1 if there are any. What could not be judged, because the service that lists
vulnerabilities did not answer, is named and does not count as judged; the exit is then 0, because
a build without a network must be able to go on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 300.0
PROBE = "pip==24.0\n"
"""Asked for first: without a network each package of a lock would be waited for."""


def audit(requirements: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each package, or nothing if it says nothing."""
    options = ("--format=json", "--progress-spinner=off", "--disable-pip", "--no-deps")
    command = [sys.executable, "-m", "pip_audit", *options, f"--requirement={requirements}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []
    return found


def answers() -> bool:
    """Whether the service that lists vulnerabilities can be reached."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text(PROBE)
        return any("vulns" in each for each in audit(path))


def report(lock: Path) -> int:
    """Print a line for each vulnerability and for what was not judged; count vulnerabilities."""
    found = audit(lock)
    judged = [each for each in found if "vulns" in each]
    lines = [
        f"{lock}: {each['name']} {each['version']}: {item['id']}"
        f" (fixed in {', '.join(item['fix_versions']) or 'no version'})"
        for each in judged
        for item in each["vulns"]
    ]
    skipped = [each["name"] for each in found if "vulns" not in each]
    print(*lines, f"{lock}: {len(judged)} packages judged, {len(lines)} vulnerabilities", sep="\n")
    if skipped or not found:
        print(f"{lock}: not judged: {', '.join(skipped) or 'all packages, no answer'}")
    return len(lines)


def main() -> None:
    """Run the command."""
    locks = [Path(each) for each in sys.argv[1:]]
    if not locks:
        sys.exit("error: give LOCK...")
    if find_spec("pip_audit") is None:
        sys.exit("error: pip-audit is not installed: make setup")
    if not answers():
        print(f"vulnerabilities: not judged: no network ({', '.join(map(str, locks))})")
        return
    sys.exit(1 if sum([report(each) for each in locks]) else 0)


if __name__ == "__main__":
    main()

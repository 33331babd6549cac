"""Copy MLflow's artifacts from the object store to a tar archive, or back.

python objects.py export >artifacts.tar
python objects.py import <artifacts.tar
"""

from __future__ import annotations

import os
import sys
import tarfile
from datetime import datetime
from typing import IO, Any

import boto3

BUCKET = "mlflow"


def open_store() -> Any:
    """Client of the object store; boto3 reads the keys from the environment itself."""
    return boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])


def export(store: Any, output: IO[bytes]) -> int:
    """Write every object to an archive, one after the other, and return how many there are."""
    count = 0
    with tarfile.open(fileobj=output, mode="w|") as archive:
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for item in page.get("Contents", ()):
                found = store.get_object(Bucket=BUCKET, Key=item["Key"])
                archive.addfile(member(item["Key"], found), found["Body"])
                count += 1
    return count


def member(key: str, found: dict[str, Any]) -> tarfile.TarInfo:
    """Entry of an object in the archive."""
    info = tarfile.TarInfo(key)
    modified: datetime = found["LastModified"]
    info.size, info.mtime = found["ContentLength"], int(modified.timestamp())
    return info


def restore(store: Any, source: IO[bytes]) -> int:
    """Put every file of an archive into the store, and return how many there are."""
    count = 0
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for info in archive:
            content = archive.extractfile(info)
            if content is None:
                continue
            store.put_object(Bucket=BUCKET, Key=info.name, Body=content.read())
            count += 1
    return count


def main() -> None:
    """Run the command; what it says goes to standard error, as the archive may go to output."""
    match sys.argv[1:]:
        case ["export"]:
            count = export(open_store(), sys.stdout.buffer)
        case ["import"]:
            count = restore(open_store(), sys.stdin.buffer)
        case _:
            sys.exit("give export or import")
    print(f"artifacts: {count}", file=sys.stderr)


if __name__ == "__main__":
    main()

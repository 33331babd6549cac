"""Copy MLflow's artifacts from the object store to a tar archive, or back in two steps.

python objects.py export >artifacts.tar         every object
python objects.py check <artifacts.tar          read the whole archive
python objects.py stage STAMP <artifacts.tar    objects that are missing or differ, put beside
python objects.py commit STAMP                  in their place; what they replace is kept
python objects.py discard STAMP                 the objects that were put beside are removed
python objects.py undo STAMP                    what commit did is taken back
python objects.py forget                        what all commits replaced is removed

check and stage print how many objects there are in the archive, and their bytes. No object is
read whole. What is put beside, replaced or made is in the same bucket, under names that begin
with .restoring/, .replaced/ and .made/; no archive has it.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import IO, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "mlflow"
STAGED, REPLACED, MADE = ".restoring/", ".replaced/", ".made/"
PART_BYTES = 16 * 2**20
"""Larger objects are sent in parts of this size, one after the other."""
TRANSFER = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
)
END_BYTES = 2 * tarfile.BLOCKSIZE
"""A tar archive ends with so many zeros; one that was cut off does not."""


class ArchiveError(Exception):
    """The archive is not whole."""


class Source:
    """A stream that can only be read, and knows where its last byte other than zero was."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.position = self.content_end = 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        if kept := len(content.rstrip(b"\0")):
            self.content_end = self.position + kept
        self.position += len(content)
        return content


class Body:
    """A member of an archive, to be read once: tarfile says that it could be read again."""

    def __init__(self, start: bytes, stream: IO[bytes]) -> None:
        self._start, self._stream = io.BytesIO(start), stream

    def read(self, size: int = -1) -> bytes:
        content = self._start.read(size)
        if size < 0 or len(content) < size:
            content += self._stream.read(size - len(content) if size >= 0 else -1)
        return content


def open_store() -> Any:
    """Client of the object store; boto3 reads the keys from the environment itself."""
    return boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])


def keys(store: Any, prefix: str = "") -> Iterator[str]:
    """Names of objects, without those of a restore unless a prefix asks for them."""
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", ()):
            if prefix or not item["Key"].startswith((STAGED, REPLACED, MADE)):
                yield item["Key"]


def find(store: Any, key: str) -> dict[str, Any] | None:
    """What the store knows of an object, or None."""
    try:
        return dict(store.head_object(Bucket=BUCKET, Key=key))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def export(store: Any, output: IO[bytes]) -> int:
    """Write every object to an archive, one after the other, and return how many there are."""
    count = 0
    with tarfile.open(fileobj=output, mode="w|") as archive:
        for key in keys(store):
            try:
                found = store.get_object(Bucket=BUCKET, Key=key)
            except store.exceptions.NoSuchKey:
                continue  # removed since it was listed
            with closing(found["Body"]) as body:
                archive.addfile(member(key, found), body)
            count += 1
    return count


def member(key: str, found: dict[str, Any]) -> tarfile.TarInfo:
    """Entry of an object in the archive."""
    info = tarfile.TarInfo(key)
    modified: datetime = found["LastModified"]
    info.size, info.mtime = found["ContentLength"], int(modified.timestamp())
    return info


def members(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Entries of an archive and their contents, each to be read before the next.

    Raises
    ------
    ArchiveError
        If the archive does not end as archives do, or cannot be read: tarfile takes a damaged
        header for the end.
    """
    source = Source(stream)
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:  # type: ignore[call-overload]
            for info in archive:
                content = archive.extractfile(info)
                if content is None:
                    raise ArchiveError(f"{info.name} is no file")
                yield info, content
            end = archive.offset
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveError(str(error) or "it was cut off") from error
    while source.read(PART_BYTES):
        pass
    if source.content_end > end or source.position - end < END_BYTES:
        raise ArchiveError(f"it is damaged or cut off at byte {end}")


def read_all(stream: IO[bytes]) -> tuple[int, int]:
    """Read an archive to its end; return how many objects and bytes it has."""
    count = size = 0
    for info, content in members(stream):
        while content.read(PART_BYTES):
            pass
        count, size = count + 1, size + info.size
    return count, size


def stage(store: Any, stamp: str, stream: IO[bytes]) -> tuple[int, int]:
    """Put those files of an archive beside that the store has not or has otherwise.

    Returns how many objects and bytes the archive has.
    """
    count = size = 0
    for info, content in members(stream):
        start = content.read(PART_BYTES)
        if info.size > len(start) or not is_same(find(store, info.name), start):
            key = f"{STAGED}{stamp}/{info.name}"
            store.upload_fileobj(Body(start, content), BUCKET, key, Config=TRANSFER)
        count, size = count + 1, size + info.size
    return count, size


def is_same(found: dict[str, Any] | None, content: bytes) -> bool:
    """Whether an object has this content: the ETag of one sent whole is its MD5."""
    if found is None or found["ContentLength"] != len(content):
        return False
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return bool(found["ETag"].strip('"') == digest)


def copy(store: Any, source: str, target: str) -> None:
    """Copy an object in the store."""
    store.copy({"Bucket": BUCKET, "Key": source}, BUCKET, target, Config=TRANSFER)


def remove(store: Any, prefix: str) -> None:
    """Remove the objects whose names begin so."""
    for key in list(keys(store, prefix)):
        store.delete_object(Bucket=BUCKET, Key=key)


def commit(store: Any, stamp: str) -> int:
    """Put the staged objects in their places; first note what undo needs, object by object."""
    prefix, count = f"{STAGED}{stamp}/", 0
    for staged in keys(store, prefix):
        key = staged.removeprefix(prefix)
        if find(store, key) is None:
            store.put_object(Bucket=BUCKET, Key=f"{MADE}{stamp}/{key}", Body=b"")
        else:
            copy(store, key, f"{REPLACED}{stamp}/{key}")
        copy(store, staged, key)
        count += 1
    remove(store, prefix)
    return count


def undo(store: Any, stamp: str) -> int:
    """Take a commit back, also one that was interrupted."""
    count = 0
    prefix = f"{REPLACED}{stamp}/"
    for saved in keys(store, prefix):
        copy(store, saved, saved.removeprefix(prefix))
        count += 1
    for made in keys(store, f"{MADE}{stamp}/"):
        store.delete_object(Bucket=BUCKET, Key=made.removeprefix(f"{MADE}{stamp}/"))
        count += 1
    for place in (MADE, REPLACED, STAGED):
        remove(store, f"{place}{stamp}/")
    return count


def forget(store: Any) -> None:
    """Remove what commits replaced and what interrupted ones left."""
    for place in (STAGED, MADE, REPLACED):
        remove(store, place)


def run(store: Any, arguments: list[str]) -> None:
    """Run the command; what it says goes to standard error, where output is for something else."""
    match arguments:
        case ["export"]:
            print(f"artifacts: {export(store, sys.stdout.buffer)}", file=sys.stderr)
        case ["check"]:
            print_size(*read_all(sys.stdin.buffer))
        case ["stage", stamp]:
            print_size(*stage(store, stamp, sys.stdin.buffer))
        case ["commit", stamp]:
            print(f"artifacts put back: {commit(store, stamp)}", file=sys.stderr)
        case ["discard", stamp]:
            remove(store, f"{STAGED}{stamp}/")
        case ["undo", stamp]:
            print(f"artifacts as before: {undo(store, stamp)}", file=sys.stderr)
        case ["forget"]:
            forget(store)
        case _:
            sys.exit("error: give export, check, stage, commit, discard, undo or forget")


def print_size(count: int, size: int) -> None:
    """Print the size of an archive, as lines of counts.txt."""
    print(f"artifacts.objects {count}", f"artifacts.bytes {size}", sep="\n")


def main() -> None:
    """Run the command, with one line for what is wrong."""
    try:
        run(open_store(), sys.argv[1:])
    except (ArchiveError, tarfile.TarError) as error:
        sys.exit(f"error: artifacts.tar: {error}")
    except (BotoCoreError, ClientError, OSError) as error:
        sys.exit(f"error: the object store or the archive: {error}")


if __name__ == "__main__":
    main()

"""Arrays of a TensorFlow Lite file, read without TensorFlow.

Only what weights of a convolutional network need is read: the constant inputs of each operator of
the first graph.

References
----------
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.unpacking import MOST_BYTES

IDENTIFIER = b"TFL3"
CONVOLUTION, DEPTHWISE, DEQUANTIZE = 3, 4, 6
"""Codes of operators."""
DTYPES = {0: "<f4", 9: "<i1"}
"""Data types of arrays that are read, by their codes."""
MOST_ITEMS = 4096
"""Maximum number of operators or tensors; a damaged file may declare billions."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table of the file: fields with numbers, some of which may be absent."""

    content: bytes
    start: int

    def _number(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError("a position lies outside of the file")
        return int(struct.unpack_from(form, self.content, position)[0])

    def position(self, field: int) -> int | None:
        """Return the position of a field's value, None if it is absent."""
        fields = self.start - self._number("<i", self.start)
        size = self._number("<H", fields)
        offset = self._number("<H", fields + 4 + 2 * field) if 4 + 2 * field < size else 0
        return self.start + offset if offset else None

    def number(self, field: int, form: str) -> int:
        """Return an integer, 0 if it is absent."""
        at = self.position(field)
        return 0 if at is None else self._number(form, at)

    def table(self, field: int) -> _Table | None:
        """Return a table inside this one."""
        at = self.position(field)
        return None if at is None else self._at(at)

    def tables(self, field: int) -> list[_Table]:
        """Return a list of tables."""
        start, length = self._list(field)
        if length > MOST_ITEMS:
            raise ValueError(f"a list has {length} items; the maximum is {MOST_ITEMS}")
        return [self._at(start + 4 * i) for i in range(length)]

    def array(self, field: int, dtype: str) -> NDArray[Any]:
        """Return a list of numbers [shape=(n_numbers,)]."""
        start, length = self._list(field)
        return np.frombuffer(self.content, dtype=dtype, count=length, offset=start)

    def _list(self, field: int) -> tuple[int, int]:
        at = self.position(field)
        if at is None:
            return 0, 0
        start = at + self._number("<I", at)
        return start + 4, self._number("<I", start)

    def _at(self, position: int) -> _Table:
        return _Table(content=self.content, start=position + self._number("<I", position))


@dataclass(frozen=True, kw_only=True)
class _Graph:
    tensors: list[_Table]
    buffers: list[_Table]
    dequantised: dict[int, int]

    def array(self, which: int) -> NDArray[np.float32]:
        """Return a constant tensor; a quantised one is multiplied by its scales."""
        tensor = self.tensors[self.dequantised.get(which, which)]
        shape = tensor.array(0, "<i4")
        kind = tensor.number(1, "<b")
        if kind not in DTYPES:
            raise ValueError(f"a tensor has the data type {kind}")
        values = self.buffers[tensor.number(2, "<I")].array(0, "<u1").view(DTYPES[kind])
        numbers = values.reshape(shape).astype(np.float32)
        quantisation = tensor.table(4)
        scales = quantisation.array(2, "<f4") if quantisation else np.ones(0, np.float32)
        if kind == 0 or not len(scales):
            return numbers
        return numbers * _along(scales, quantisation, n_axes=len(shape))


def convolutions(content: bytes) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield kernel and bias of each convolution, in the order of the graph.

    Parameters
    ----------
    content : a TensorFlow Lite file

    Yields
    ------
    kernel : [shape=(n_filters, height, width, n_channels)]; of a depthwise convolution
        [shape=(1, height, width, n_channels)]
    bias : [shape=(n_filters,)]

    Raises
    ------
    ValueError, struct.error, IndexError
        If the file is damaged, or no TensorFlow Lite file.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError("no TensorFlow Lite file")
    root = _Table(content=content, start=struct.unpack_from("<I", content)[0])
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in root.tables(1)]
    graph = root.tables(2)[0]
    operators = [
        (codes[each.number(0, "<I")], each.array(1, "<i4"), each.array(2, "<i4"))
        for each in graph.tables(3)
    ]
    read = _Graph(
        tensors=graph.tables(0),
        buffers=root.tables(4),
        dequantised={
            int(outputs[0]): int(inputs[0])
            for code, inputs, outputs in operators
            if code == DEQUANTIZE
        },
    )
    left = MOST_BYTES
    for code, inputs, _ in operators:
        if code in (CONVOLUTION, DEPTHWISE):
            kernel, bias = read.array(int(inputs[1])), read.array(int(inputs[2]))
            left -= kernel.nbytes + bias.nbytes
            if left < 0:
                raise ValueError(f"its arrays have more than {MOST_BYTES >> 20} MiB")
            yield kernel, bias


def _along(
    scales: NDArray[np.float32], quantisation: _Table | None, *, n_axes: int
) -> NDArray[np.float32]:
    """Return scales shaped for the axis that they belong to."""
    axis = quantisation.number(6, "<i") if quantisation and len(scales) > 1 else 0
    shape = [1] * n_axes
    shape[axis] = len(scales)
    return scales.reshape(shape)

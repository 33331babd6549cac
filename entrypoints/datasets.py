"""Which dataset a command works on."""

from __future__ import annotations

from mer_mlflow.datasets import data_root_or_default, default_dataset


def announce_dataset(dataset: str | None, data_root: str | None) -> str:
    """Choose the dataset and print the choice, the first line of a command.

    Parameters
    ----------
    dataset : what the user asked for; by default Original-4QAED where a data root is known, and
        the demo where none is
    data_root : what the user gave, before ``MER_DATA_ROOT``

    Returns
    -------
    name of the dataset
    """
    root = data_root_or_default(data_root)
    if dataset is not None:
        print(f"dataset: {dataset}", flush=True)
        return dataset
    dataset = default_dataset(data_root)
    if root is not None:
        print(f"dataset: {dataset} (the default where a data root is given: {root})", flush=True)
    else:
        print(
            f"dataset: {dataset} (the default without a data root; for real data give data_root "
            "or set MER_DATA_ROOT)",
            flush=True,
        )
    return dataset

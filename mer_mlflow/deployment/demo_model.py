"""A model of the demo dataset, to try predictions without a model of one's own."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from mer_mlflow.cache import cache_root
from mer_mlflow.crossval.setting import gather
from mer_mlflow.datasets import load_dataset
from mer_mlflow.deployment.fitting import fit_model
from mer_mlflow.deployment.requirements import installed, packages_of
from mer_mlflow.deployment.trained import FORMAT
from mer_mlflow.errors import StoreError
from mer_mlflow.experiments import Experiment, resolve
from mer_mlflow.methods import get_method
from mer_mlflow.paths import draft_name, remedy
from mer_mlflow.progress import progress
from mer_mlflow.representations import Handcrafted, open_store

DEMO = "demo"
"""Address of the model."""
EXPERIMENT = Experiment(method="svm", dataset="demo")


def demo_model() -> Path:
    """Return the folder of a model of the demo dataset; it is fitted first if it is not cached.

    Raises
    ------
    MerError
        If it is not cached and cannot be fitted.
    """
    folder = cache_root() / f"demo-model-{_digest()}"
    if not folder.is_dir():
        try:
            _fit(folder)
        except OSError as error:
            raise StoreError(
                f"{folder}: the demo's model cannot be written ({error.strerror}); "
                f"{remedy(error)} there, or set MER_CACHE_ROOT to another folder"
            ) from error
    return folder


def _digest() -> str:
    """Return a digest of what a model in the cache depends on, such as versions of packages."""
    method, inputs = get_method(EXPERIMENT.method), (Handcrafted(),)
    packages = installed(packages_of(method, inputs))
    facts = [FORMAT, method.version, EXPERIMENT.duration, inputs[0].key, packages]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _fit(folder: Path) -> None:
    print("fitting a model to the demo dataset (once, about a minute) …", flush=True)
    resolved = resolve(EXPERIMENT, load_dataset("demo"))
    with progress("representations") as advance:
        examples = gather(resolved.setting, store=open_store(), on_progress=advance)
    draft = folder.parent / draft_name(".demo-model-")
    draft.mkdir(parents=True)
    try:
        fit_model(resolved.setting, examples, executor=resolved.executor, folder=draft)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)

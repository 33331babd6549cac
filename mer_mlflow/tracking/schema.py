"""Names of what a run carries, for those who write runs and those who read them."""

from __future__ import annotations

TAGS = "mer."
"""Beginning of the project's tags."""

KIND = "mer.kind"
"""What a run is: a cross-validation's parent, a fold, a search, a study …"""
STATUS = "mer.status"
"""State of a parent; ``complete`` only where every fold has a result."""
METHOD = "mer.method"
DATASET = "mer.dataset"
PROTOCOL = "mer.protocol"
PROFILE = "mer.profile"
IDENTITY = "mer.identity"
"""Hash of all that results depend on: runs with the same one share their folds."""
SPLIT = "mer.split"
"""Split of a fold's run."""
FOLDS_EXPECTED = "mer.folds_expected"
ERROR = "mer.error"
"""Why a fold has no result."""
ALLOWED_COLUMNS = "mer.allowed_columns"
"""Columns that were read though a check stands against them."""
CHECK = "mer.check."
"""Beginning of the tags of findings; the check's code follows."""
WEIGHTS, UNVERIFIED_WEIGHTS = "mer.weights", "mer.unverified_weights"
"""Files of pretrained weights, and those whose digests are not known."""
ARITHMETIC = "mer.arithmetic"
"""Kernels that a fold was computed with."""
MIXED_ARITHMETIC = "mer.mixed_arithmetic"
"""Kinds of arithmetic among the folds of a parent, where there are several."""

TRIAL, TRAINED = "mer.trial", "mer.trained"
"""Trial of a search that a cross-validation is; whether it was trained by itself too."""
STUDY = "mer.study"
"""Name of a search's Optuna study, or of a study's plan."""
TUNED_BY, SELECTION = "mer.tuned_by", "mer.selection"
"""Study that chose the hyperparameters; whether that was inside the training sets."""

SUPERSEDED_BY = "mer.superseded_by"
"""Run that took over the folds of an interrupted one."""
DUPLICATE_OF = "mer.duplicate_of"
"""Complete run of the same identity, which made this one needless."""
COPIED_FROM = "mer.copied_from"
"""Run of another parent that a fold's result was copied from."""
MADE_BY = "mer.made_by"
"""Mark by which a run is found again whose creation was not answered."""

HOST, PID, PROCESS_STARTED = "mer.host", "mer.pid", "mer.process_started"
"""Process that works on a run."""
ANNOUNCED, HEARTBEAT = "mer.announced", "mer.heartbeat"
"""Unix times at which it began, and at which it last gave a sign of life [s]."""
GIT_COMMIT, PACKAGES, BACKEND, HARDWARE = (
    "mer.git_commit",
    "mer.packages",
    "mer.backend",
    "mer.hardware",
)
"""Code, versions, Keras' backend and machine of a run."""

IMPORTED_FROM, IMPORTED_SOURCE, IMPORTED_SHA256 = (
    "mer.imported_from",
    "mer.imported_source",
    "mer.imported_sha256",
)
"""Id of a run that an archive brought, server and experiment it was in, digest of its record."""
IMPORTED_STATE, IMPORTED_VERSION = "mer.imported_state", "mer.imported_version"
"""How far the import of a run has come, and the version of what was imported."""
IMPORTING = "mer.importing."
"""Beginning of the tags by which an import keeps an experiment to itself."""

HP = "hp."
"""Beginning of the parameters that are resolved hyperparameters."""
CHOSEN = "chosen in each fold"
"""Value of a hyperparameter that each training set chooses for itself."""
NESTED = "nested."
"""Beginning of the parameters of that choice."""
NESTED_STRATEGY = "nested.strategy"
CV = "cv."
"""Beginning of the parameters of the protocol."""
CV_PROTOCOL, N_SPLITS, N_REPEATS = "cv.protocol", "cv.n_splits", "cv.n_repeats"
SEED, TEST_SHARE = "cv.seed", "cv.test_share"
THREADS, CV_ARITHMETIC = "cv.threads", "cv.arithmetic"
REPEAT, FOLD, FOLD_SEED = "cv.repeat", "cv.fold", "cv.fold_seed"
"""Of a fold's run."""
DATA = "data."
"""Beginning of the parameters of the dataset."""
SECONDS, N_CLIPS, DIGEST = "data.seconds", "data.n_clips", "data.digest"
FEATURES, AUGMENTATIONS, INPUTS = "data.features", "data.augmentations", "data.inputs"

PREDICTIONS, EPOCHS, CONFUSION = "predictions.csv", "epochs.csv", "confusion_matrix.csv"
"""Artifacts of a fold."""
TRACEBACK = "traceback.txt"
FOLDS_TABLE, PREDICTIONS_TABLE = "folds.parquet", "predictions.parquet"
"""Artifacts of a parent: a row for each fold, and for each fold's test clip."""
EPOCHS_TABLE, SPLIT_PLAN_TABLE = "epochs.parquet", "split_plan.parquet"
BEST, TRIALS = "best.json", "trials.csv"
"""Artifacts of a search: its winner, and a row for each trial."""
ITEMS, PLAN = "items.csv", "study.yaml"
"""Artifacts of a study: a row for each item, and the plan as it was run."""

"""Names of tags, parameters, metrics and artifacts of runs."""

from __future__ import annotations

TAGS = "mer."
"""Prefix of the project's tags."""

KIND = "mer.kind"
"""Kind of a run: a cross-validation's parent, a fold, a search, a study …"""
STATUS = "mer.status"
"""Status of a parent; ``complete`` only if every fold has a result."""
METHOD = "mer.method"
"""Name of the methodology."""
DATASET = "mer.dataset"
"""Name of the dataset."""
PROTOCOL = "mer.protocol"
"""Way in which clips are split: ``paper``, ``grouped``, ``fixed`` or ``fixed-NAME``."""
PROFILE = "mer.profile"
"""``paper`` or ``quick``."""
IDENTITY = "mer.identity"
"""Hash of everything that results depend on: runs with the same identity share folds."""
SPLIT = "mer.split"
"""Split of a fold's run."""
FOLDS_EXPECTED = "mer.folds_expected"
"""Number of folds of a complete parent."""
ERROR = "mer.error"
"""Error of a fold without a result."""
ALLOWED_COLUMNS = "mer.allowed_columns"
"""Columns that were allowed in spite of a check."""
CHECK = "mer.check."
"""Prefix of the tags of findings; the check's code follows."""
WEIGHTS, UNVERIFIED_WEIGHTS = "mer.weights", "mer.unverified_weights"
"""Files of pretrained weights, and those with unknown digests."""
ARITHMETIC = "mer.arithmetic"
"""Kernels that computed a fold."""
MIXED_ARITHMETIC = "mer.mixed_arithmetic"
"""Kinds of arithmetic of a parent's folds, if there are several."""

TRIAL, TRAINED = "mer.trial", "mer.trained"
"""Number of the trial of a search; whether it was also trained outside of the search."""
TRIAL_ONLY = "mer.trial_only"
"""Exists for a trial that was not trained outside of its search; the leaderboard hides it."""
STUDY = "mer.study"
"""Name of a search's Optuna study, or of a study's plan."""
TUNED_BY, SELECTION = "mer.tuned_by", "mer.selection"
"""Optuna study that chose the hyperparameters; whether they were chosen within training sets."""

VALIDATED_BY, VALIDATION = "mer.validated_by", "mer.validation"
"""Cross-validation of the same setting as a model, and its score."""

SUPERSEDED_BY = "mer.superseded_by"
"""Run to which the folds of an interrupted one belong now."""
DUPLICATE_OF = "mer.duplicate_of"
"""Complete run of the same identity, which this one repeats."""
COPIED_FROM = "mer.copied_from"
"""Run of another parent, from which a fold's result was copied."""
MADE_BY = "mer.made_by"
"""Unique mark to find a run if the response to its creation was lost."""

HOST, PID, PROCESS_STARTED = "mer.process.host", "mer.process.pid", "mer.process.started"
"""Process that executes a run."""
ANNOUNCED, HEARTBEAT = "mer.process.announced", "mer.process.heartbeat"
"""Unix times of its start and of its last heartbeat [s]."""
EARLIER_HOST, EARLIER_PID, EARLIER_STARTED, EARLIER_ANNOUNCED, EARLIER_HEARTBEAT = (
    "mer.host",
    "mer.pid",
    "mer.process_started",
    "mer.announced",
    "mer.heartbeat",
)
"""The same five tags in runs of earlier versions, which are read too."""
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
"""Of an imported run: original id, original server and experiment, digest of its record."""
IMPORTED_STATE, IMPORTED_VERSION = "mer.imported_state", "mer.imported_version"
"""State of the import of a run, and version of the imported record."""
IMPORTING = "mer.importing."
"""Prefix of the tags by which an import locks an experiment."""

HP = "hp."
"""Prefix of the parameters that are resolved hyperparameters."""
CHOSEN = "chosen in each fold"
"""Value of a hyperparameter that is chosen within each training set."""
NESTED = "nested."
"""Prefix of the parameters of that choice."""
NESTED_STRATEGY = "nested.strategy"
"""Strategy of that choice."""
CV = "cv."
"""Prefix of the parameters of the protocol."""
CV_PROTOCOL, N_SPLITS, N_REPEATS = "cv.protocol", "cv.n_splits", "cv.n_repeats"
"""Protocol, folds of a repetition, and repetitions."""
SEED, TEST_SHARE = "cv.seed", "cv.test_share"
"""Seed of splits and training; test clips per training clip, by which intervals are corrected."""
THREADS, CV_ARITHMETIC = "cv.threads", "cv.arithmetic"
"""Arithmetic threads of a process, and ``native`` or ``portable`` kernels."""
REPEAT, FOLD, FOLD_SEED = "cv.repeat", "cv.fold", "cv.fold_seed"
"""Parameters of a fold's run."""
DATA = "data."
"""Prefix of the parameters of the dataset."""
SECONDS, N_CLIPS, DIGEST = "data.seconds", "data.n_clips", "data.digest"
"""Excerpt of each clip [s], number of clips, and hash of their ids, labels and contents."""
TRAIN_METHODS, TRAIN_ON, TEST_ON = "transfer.methods", "transfer.train", "transfer.test"
"""Methodologies, training datasets and test datasets of a transfer between datasets."""
FEATURES, AUGMENTATIONS, INPUTS = "data.features", "data.augmentations", "data.inputs"
"""Source of handcrafted features, transforms of synthesised copies, and keys of the inputs."""
NO_AUGMENTATIONS = "none"
"""Value of ``data.augmentations`` if a method's own augmentations are not used."""

DETAILS = "details/"
"""Prefix of metrics that belong to no other section."""
FOLDS_DONE = "folds_done"
"""Metric of a parent: number of folds with a result."""

PREDICTIONS, EPOCHS, CONFUSION = "predictions.csv", "epochs.csv", "confusion_matrix.csv"
"""Artifacts of a fold."""
TRACEBACK = "traceback.txt"
"""Artifact of a fold that failed."""
FOLDS_TABLE, PREDICTIONS_TABLE = "folds.parquet", "predictions.parquet"
"""Artifacts of a parent: one row per fold, and one row per fold and test clip."""
CLIPS_TABLE, CLIPS_PAGE = "clips.csv", "clips.html"
"""Artifacts of a parent: one row per clip with artist, title, quadrants and mean probabilities,
clips that are predicted wrongly first."""
EPOCHS_TABLE, SPLIT_PLAN_TABLE = "epochs.parquet", "split_plan.parquet"
"""Artifacts of a parent: one row per fold and epoch, and one row per split and clip."""
BEST, TRIALS = "best.json", "trials.csv"
"""Artifacts of a search: the best setting, and one row per trial."""
ITEMS, PLAN = "items.csv", "study.yaml"
"""Artifacts of a study: one row per item, and the resolved plan."""
TRANSFER_TABLE, DUPLICATES, HEAT_MAP = "transfer.csv", "duplicates.csv", "transfer.png"
"""Artifacts of a transfer between datasets: one row per cell and score, one row per recording that
two datasets have in common, and the matrix as a figure."""
TRANSFER_PREDICTIONS, TRANSFER_SETTINGS = "transfer_predictions.parquet", "transfer_settings.csv"
"""Artifacts of a transfer: one row per fold and clip of another dataset, and one row per parameter
of each cross-validation, also with the digests of the datasets."""

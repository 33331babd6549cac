"""Names of metrics in runs: MLflow's pages show a section for each prefix before a slash.

Tables, reports and runs of earlier versions have names without sections.
"""

from __future__ import annotations

from mer_mlflow.tracking import schema

FOLD_METRICS = (
    ("f1_macro", "f1/macro"),
    ("f1_q1", "f1/q1"),
    ("f1_q2", "f1/q2"),
    ("f1_q3", "f1/q3"),
    ("f1_q4", "f1/q4"),
    ("arousal_accuracy", "axes/arousal"),
    ("valence_accuracy", "axes/valence"),
    ("accuracy", "axes/quadrant"),
    ("fit_seconds", "cost/fit_seconds"),
    ("predict_seconds", "cost/predict_seconds"),
    ("peak_memory_mib", "cost/peak_memory_mib"),
    ("n_epochs", "cost/n_epochs"),
    ("n_parameters", "cost/n_parameters"),
)
"""Metrics of a fold in sections: name in tables and in earlier versions, name in a run."""
PARENT_METRICS = (
    ("f1_macro_mean", "f1/macro"),
    ("f1_macro_low", "f1/macro_low"),
    ("f1_macro_high", "f1/macro_high"),
    ("f1_q1_mean", "f1/q1"),
    ("f1_q2_mean", "f1/q2"),
    ("f1_q3_mean", "f1/q3"),
    ("f1_q4_mean", "f1/q4"),
    ("arousal_accuracy_mean", "axes/arousal"),
    ("valence_accuracy_mean", "axes/valence"),
    ("accuracy_mean", "axes/quadrant"),
    ("fit_seconds_total", "cost/fit_seconds"),
    ("n_epochs_mean", "cost/n_epochs"),
    ("peak_memory_mib_max", "cost/peak_memory_mib"),
)
"""Metrics of a parent in sections: name in reports and in earlier versions, name in a run."""


def fold_metric(name: str) -> str:
    """Return the name in a fold's run of a metric, given its name in tables."""
    return _in_section(name, dict(FOLD_METRICS))


def parent_metric(name: str) -> str:
    """Return the name in a parent's run of a metric, given its name in reports."""
    return _in_section(name, dict(PARENT_METRICS))


def _in_section(name: str, sections: dict[str, str]) -> str:
    return sections.get(name) or (name if "/" in name else schema.DETAILS + name)

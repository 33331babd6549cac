"""Names of runs, and the notes that MLflow's pages show of runs and experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from urllib.parse import quote

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from mer_mlflow.access import LEADERBOARD, SEARCHES, experiment_place, run_place
from mer_mlflow.arithmetic import NATIVE
from mer_mlflow.crossval.metrics import with_interval
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets import get_dataset
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.kinds import Kind

STUDIED, SECONDS, N_SPLITS = "original-4qaed", 30.0, 10
"""Dataset, excerpt and folds of the study; names of runs mention other datasets and excerpts."""
MOST_CHANGED = 3
"""Maximum number of hyperparameters in the name of a run."""
NO_SCORE = "No score yet"
"""Beginning of the first note of a run; another note was written by a user."""


def run_name(setting: Setting, tags: Mapping[str, str]) -> str:
    """Return the name of a parent run, which begins with what distinguishes it from others.

    Parameters
    ----------
    setting : setting of the cross-validation
    tags : further tags of the parent run
    """
    return " · ".join((setting.method.name, *_facts(setting, tags)))


def _facts(setting: Setting, tags: Mapping[str, str]) -> Iterator[str]:
    plan = setting.plan
    if schema.TRIAL in tags:
        yield f"trial {tags[schema.TRIAL]}"
    yield f"{plan.n_repeats}x{plan.n_splits}"
    yield plan.protocol
    if changed := _changed(setting):
        more = ", …" * (len(changed) > MOST_CHANGED)
        yield ", ".join(changed[:MOST_CHANGED]) + more
    if setting.choice is not None:
        yield "nested search"
    if setting.duration not in (None, SECONDS):
        yield f"{setting.duration:g} s"
    if setting.arithmetic != NATIVE:
        yield f"{setting.arithmetic} arithmetic"
    if setting.clips.name != STUDIED:
        yield setting.clips.name


def _changed(setting: Setting) -> list[str]:
    chosen = setting.choice.names if setting.choice else ()
    defaults = setting.method.defaults
    return [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in asdict(setting.hyperparameters).items()
        if value != defaults[name] and name not in chosen
    ]


def started_note(n_folds: int) -> str:
    """Return the note of a cross-validation without results."""
    return f"{NO_SCORE} of {n_folds} folds. If it was interrupted, the same command continues it."


def pruned_note(n_done: int, n_folds: int) -> str:
    """Return the note of a trial that its search has stopped."""
    return f"Stopped by the search after {n_done} of {n_folds} folds."


def with_own_text(note: str, tags: Mapping[str, str]) -> str:
    """Return a note of the project with the text that a user has written meanwhile.

    Parameters
    ----------
    note : the new note
    tags : tags of the run
    """
    known = tags.get(MLFLOW_RUN_NOTE, "")
    return note if not known or known.startswith(NO_SCORE) else f"{note}\n\n{known}"


def duplicate_note(experiment: str, run_id: str) -> str:
    """Return the note of a cross-validation that repeats a complete one."""
    return f"Nothing was run: [run {run_id}]({run_place(experiment, run_id)}) is complete."


def continued_note(experiment: str, run_id: str) -> str:
    """Return the note of an interrupted cross-validation that another run continues."""
    return f"Interrupted, and continued by [run {run_id}]({run_place(experiment, run_id)})."


def validation_note(validation: CrossValidation, *, experiment: str, run_id: str) -> str:
    """Return the note of a cross-validation: scores, how to continue, links.

    Parameters
    ----------
    validation : the cross-validation
    experiment : id of the experiment
    run_id : id of the parent run
    """
    if not validation.is_complete:
        n_done, n_folds = len(validation.results), len(validation.setting.plan.splits)
        return f"**Incomplete**: {n_done} of {n_folds} folds have a result; {validation.advice}."
    clips = run_place(experiment, run_id, artifact=schema.CLIPS_PAGE)
    return "\n".join(
        (
            _scores(validation),
            "",
            f"- Which songs are predicted wrongly: [{schema.CLIPS_PAGE}]({clips})",
            f"- Compare: [leaderboard]({experiment_place(experiment, view=LEADERBOARD)}), "
            f"[reports]({reports_place(experiment)}); `mlflow run . -e report` writes a new one",
            "- Continue: the same command with more `repeats` runs only the new folds; the command "
            "`fit` with the same parameters makes a model that predicts songs",
        )
    )


def _scores(validation: CrossValidation) -> str:
    summary = validation.summary
    lines = [f"**Macro F1 {with_interval(summary['f1_macro'])}**"]
    published = published_text(validation.setting)
    lines += [published] * bool(published)
    for axis in ("arousal", "valence"):
        lines.append(f"{axis} {with_interval(summary[f'{axis}_accuracy'])}")
    return f"{', '.join(lines)}.\n\n{interval_text(validation)}"


def published_text(setting: Setting) -> str:
    """Return the published macro F1 of a setting's method and dataset; empty if there is none."""
    scores = setting.method.published.get(setting.clips.name)
    if scores is None:
        return ""
    other = "" if is_of_the_study(setting) else " in another setting"
    return f"published {scores.f1:.2f}%{other}"


def is_of_the_study(setting: Setting) -> bool:
    """Return whether clips, excerpts, folds and hyperparameters are those of the study."""
    published = get_dataset(setting.clips.name).published_counts or {}
    return (
        setting.plan.protocol == "paper"
        and setting.plan.n_splits == N_SPLITS
        and len(setting.clips) == sum(published.values())
        and setting.features != "extracted"
        and setting.duration in (None, SECONDS)
        and setting.choice is None
        and not _changed(setting)
    )


def interval_text(validation: CrossValidation) -> str:
    """Describe the scores of a cross-validation: what they are the mean of, and their interval."""
    n_folds = len(validation.results)
    if n_folds == 1:
        return "Score of one fold, which has no interval."
    text = f"Mean ± standard deviation over {n_folds} folds"
    if validation.summary["f1_macro"].has_interval:
        return f"{text} [95 % interval of the mean, corrected for the overlap of folds]."
    return f"{text}, which have the same test clips: there is no interval."


def experiment_note(experiment: str) -> str:
    """Return the note of an experiment, with links to its views."""
    leaderboard, searches = (
        experiment_place(experiment, view=view) for view in (LEADERBOARD, SEARCHES)
    )
    return f"""\
Cross-validations of music emotion recognition; each is a run with a nested run for each fold.

- [Leaderboard]({leaderboard}): cross-validations by macro F1
- [Searches]({searches}) of hyperparameters
- [Reports]({reports_place(experiment)}); `mlflow run . -e report` writes a new one"""


def reports_place(experiment: str) -> str:
    """Return the link to the reports of an experiment."""
    condition = f"tags.`{schema.KIND}` = '{Kind.REPORT}'"
    return f"{experiment_place(experiment)}&searchFilter={quote(condition)}"

"""Parameters of the entry points, declared once for the command line and for MLproject."""

from __future__ import annotations

from mer_mlflow.experiments import TRAIN_ONLY, Experiment, Parameter, Role, Search, parameters

_EXPERIMENT = parameters(Experiment)
METHOD = tuple(item for item in _EXPERIMENT if item.name in ("method", "hyperparameters"))
TRAIN = tuple(item for item in _EXPERIMENT if item not in METHOD)
SEARCH = parameters(Search)
SEARCHED = tuple(item for item in TRAIN if item.name not in TRAIN_ONLY)
"""Parameters of the experiment whose hyperparameters are searched."""
ALLOW_COLUMNS = next(item for item in TRAIN if item.name == "allow_columns")
ARITHMETIC = next(item for item in TRAIN if item.name == "arithmetic")
DATASET = tuple(item for item in TRAIN if item.name in ("dataset", "data_root"))
EXECUTION = tuple(item for item in TRAIN if item.role == Role.EXECUTION and item not in DATASET)
"""How the experiments of a study are run."""

PREPARE = (
    *DATASET,
    Parameter(name="duration", default=30.0, kind=float, help="excerpt of each clip, in seconds"),
    ALLOW_COLUMNS,
    ARITHMETIC,
)

REPORT = (
    Parameter(name="experiment", default=None, kind=str, help="names, or all; default this run's"),
    Parameter(name="methods", default=None, kind=str, help='"svm,cnn"; by default all'),
    Parameter(name="datasets", default=None, kind=str, help='"original-4qaed"; by default all'),
    Parameter(name="protocol", default=None, kind=str, help="by default all"),
    Parameter(name="output", default="reports", kind=str, help="folder for the files"),
    Parameter(name="pages", default=None, kind=str, help="address of MLflow's pages, for links"),
)

EXPORT = (
    Parameter(name="experiment", default=None, kind=str, help="its name; default this run's"),
    Parameter(name="archive", default=None, kind=str, help="file to write; default EXPERIMENT.zip"),
)

IMPORT = (
    Parameter(name="archive", default=None, kind=str, help="file that export wrote"),
    Parameter(name="experiment", default=None, kind=str, help="where to; default as it was"),
)

STUDY = (
    Parameter(name="plan", default="quick", kind=str, help="quick, paper, or a YAML file of yours"),
    Parameter(
        name="data_root",
        default=None,
        kind=str,
        help='a folder of datasets, or "original-4qaed=/a;new-4qaed-c=/b"',
    ),
    Parameter(name="dry_run", default=False, kind=bool, help="true to print the plan only"),
    ALLOW_COLUMNS,
    *EXECUTION,
    *(parameter for parameter in SEARCH if parameter.role == Role.EXECUTION),
)

AUGMENT = (
    Parameter(name="transform", default=None, kind=str, help="name of a transform, such as sb"),
    Parameter(name="clip", default=None, kind=str, help="audio file"),
    Parameter(name="seed", default=0, kind=int, help="seed of the size that is drawn"),
    Parameter(name="noise_root", default=None, kind=str, help="folder of noises, such as ESC-50"),
    Parameter(name="output", default="augmented", kind=str, help="folder for the files"),
)

WEIGHTS = (
    Parameter(
        name="weights", default=None, kind=str, help="pretrained weights, or MER_WEIGHTS_ROOT"
    ),
)

SYNC = (Parameter(name="journal", default=None, kind=str, help="file; by default all that wait"),)

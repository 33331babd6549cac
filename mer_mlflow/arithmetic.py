"""The arithmetic of a process: the kernels that its libraries choose, and how to fix them.

NumPy, OpenBLAS, oneDNN, MKL and PyTorch choose kernels by the processor they run on. Other kernels
add in another order, so the same code and seed give other last digits, and a network that is
trained turns these into other scores. ``native`` arithmetic leaves the choice to the libraries;
``portable`` holds all of them to AVX2 with FMA (x86-64-v3), which processors have since Intel's
Haswell (2013) and AMD's Zen (2017). What a fold was computed with is described, recorded, compared.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path

from mer_mlflow.errors import ParameterError

NATIVE, PORTABLE = "native", "portable"
ARITHMETICS = (NATIVE, PORTABLE)

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
STARTED = "MER_STARTED_FOR"
"""Variable that marks a process which was started again for its arithmetic."""
PORTABLE_VARIABLES = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow's own default depends on the processor
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
    "MKL_CBWR": "COMPATIBLE",  # the only mode that Intel documents for all makers' processors
    "ATEN_CPU_CAPABILITY": "avx2",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+popcnt",
    "CUDA_VISIBLE_DEVICES": "-1",
    STARTED: PORTABLE,
}
NEEDED_FEATURES = ("AVX2", "FMA3", "F16C", "BMI", "BMI2", "LZCNT", "MOVBE")
"""Of x86-64-v3, as NumPy calls them."""

CHOOSING = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "TF_ENABLE_ONEDNN_OPTS",
    "OPENBLAS_CORETYPE",
    "NPY_*ABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "NUMBA_CPU_*",
    "CUDA_VISIBLE_DEVICES",
)
"""Variables that choose kernels; what comes of them is described."""
CHANGING = {
    "": ("GLIBC_TUNABLES",),
    "tensorflow": (
        "TF_DETERMINISTIC_OPS",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_DEFAULT_FPMATH_MODE",
        "TF_SET_ONEDNN_FPMATH_MODE",
        "TF_XLA_FLAGS",
        "XLA_FLAGS",
        "NVIDIA_TF32_OVERRIDE",
        "TF_*_TF32*",
        "TF_ENABLE_*NATIVE_FORMAT",
        "TF_ENABLE_WINOGRAD*",
        "TF_*CUDNN*",
    ),
    "torch": (
        "MKL_CBWR",
        "MKL_ENABLE_INSTRUCTIONS",
        "MKL_DEBUG_CPU_TYPE",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_DEFAULT_FPMATH_MODE",
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32*",
        "TORCH_*CUDNN*",
    ),
}
"""Variables that change results in ways that nothing else describes, by the library that reads
them; those of the empty name matter to all."""

UNKNOWN = "unknown"
NOT_COMPARED = ("processor", "detected", "threads")
"""What is described for the reader: the kernels are what results depend on, and a network's threads
belong to the identity of its run."""
ISAS = {
    "AVX512_CORE": ("AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "AVX512CD"),
    "AVX2": ("AVX2", "FMA3"),
    "AVX": ("AVX",),
    "SSE41": ("SSE41",),
}
"""oneDNN's instruction sets that differ for numbers of 32 bits, and the features they need."""

DESCRIBE = (
    "import sys; from mer_mlflow.arithmetic import describe, facts_text; "
    "print(facts_text(describe(sys.argv[1])))"
)

Facts = Mapping[str, str]
"""Description of a process's arithmetic; empty where it is not known."""


class NotInEffectError(ParameterError):
    """This process was started without the variables of the arithmetic that it is to use."""


def check_arithmetic(arithmetic: str) -> None:
    """Make sure that this processor has an arithmetic.

    Raises
    ------
    ParameterError
        If there is no such arithmetic, or not here.
    """
    if arithmetic not in ARITHMETICS:
        raise ParameterError(f"arithmetic={arithmetic}: must be one of {', '.join(ARITHMETICS)}")
    if arithmetic == NATIVE:
        return
    if platform.machine().lower() not in ("x86_64", "amd64"):
        raise ParameterError(
            f"arithmetic={PORTABLE}: only for x86-64 processors (this is {platform.machine()})"
        )
    features = _features()
    lacking = [name for name in NEEDED_FEATURES if not features.get(name)]
    if lacking:
        raise ParameterError(
            f"arithmetic={PORTABLE}: needs a processor with AVX2 and FMA (this one lacks "
            f"{', '.join(lacking)})"
        )


def environment(arithmetic: str, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a process that is to use an arithmetic.

    Parameters
    ----------
    arithmetic : one of ``ARITHMETICS``
    base : environment to complete, by default this process's; what it says against a portable
        arithmetic is left out
    """
    given = dict(os.environ if base is None else base)
    if arithmetic == NATIVE:
        return given
    for name in _choosing(given):
        del given[name]
    return given | dict.fromkeys(THREAD_VARIABLES, "1") | PORTABLE_VARIABLES


def is_in_effect(arithmetic: str) -> bool:
    """Tell whether this process was started for an arithmetic.

    Libraries read their variables once, when they are loaded: what was set since does not count.
    """
    if arithmetic == NATIVE:
        return True
    first = _first_environment()
    strangers = _choosing(first) - PORTABLE_VARIABLES.keys()
    return not strangers and PORTABLE_VARIABLES.items() <= first.items()


def require(arithmetic: str) -> None:
    """Make sure that this process was started for an arithmetic.

    Raises
    ------
    NotInEffectError
        If it was not.
    ParameterError
        If there is no such arithmetic, or not here.
    """
    check_arithmetic(arithmetic)
    if not is_in_effect(arithmetic):
        raise NotInEffectError(
            f"arithmetic={arithmetic}: this process was started without the variables that it "
            f"needs; start it with those of mer_mlflow.arithmetic.environment({arithmetic!r})"
        )


@cache
def describe(framework: str) -> Facts:
    """Describe the arithmetic of this process, of which results of a framework depend.

    Parameters
    ----------
    framework : ``"scikit-learn"``, ``"keras"`` or ``"torch"``; it is loaded if it was not yet

    Returns
    -------
    facts by name. ``numpy``: the level of its kernels for floats; ``blas``: kernels of each
    library; ``onednn``: instruction set in effect, ``off`` where TensorFlow does without it;
    ``torch``: its vector kernels; ``device``: where networks run; ``keras``: types and layout;
    ``variables``: others that change results. ``processor``, ``detected`` (instruction set that it
    has) and ``threads`` are there to be read, and not compared
    """
    from mer_mlflow.networks import backend_name

    library = backend_name() if framework == "keras" else framework
    facts = {"processor": processor_name(), "detected": _isa(), "numpy": _numpy_level()}
    facts |= _blas()
    if framework == "keras":
        facts["keras"] = _keras_types()
    facts |= {"tensorflow": _tensorflow, "torch": _torch}.get(library, dict)()
    patterns = (*CHANGING[""], *CHANGING.get(library, ()))
    changing = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if any(fnmatch(name, pattern) for pattern in patterns)
    ]
    return facts | ({"variables": " ".join(changing)} if changing else {})


@cache
def describe_worker(framework: str, variables: tuple[tuple[str, str], ...]) -> Facts:
    """Describe the arithmetic of a process that is started with an environment.

    Parameters
    ----------
    framework : as for :func:`describe`
    variables : of the environment, as pairs

    Returns
    -------
    facts by name, none where such a process does not start
    """
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, framework],
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    return {} if done.returncode or not lines else read_facts(lines[-1])


def facts_text(facts: Facts) -> str:
    """Write facts as a tag."""
    return json.dumps(dict(facts), sort_keys=True)


def read_facts(text: str | None) -> Facts:
    """Read what :func:`facts_text` wrote; no facts of nothing, or of anything else."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {str(name): str(fact) for name, fact in read.items()}


def compared(facts: Facts) -> Facts:
    """Facts that results depend on; none where the arithmetic is not known."""
    return {name: fact for name, fact in facts.items() if name not in NOT_COMPARED}


def kinds(arithmetics: Iterable[Facts]) -> list[tuple[int, Facts]]:
    """Count different arithmetics, the most frequent first; an unknown one is a kind of its own."""
    counts = Counter(facts_text(compared(facts)) for facts in arithmetics)
    return [(count, read_facts(text)) for text, count in counts.most_common()]


def difference(facts: Facts, other: Facts) -> str:
    """Name what differs between two arithmetics: ``onednn AVX2, not AVX512_CORE``."""
    if not facts or not other:
        return UNKNOWN
    names = sorted(compared(facts).keys() | compared(other).keys())
    return ", ".join(
        f"{name} {facts.get(name, 'none')}, not {other.get(name, 'none')}"
        for name in names
        if facts.get(name) != other.get(name)
    )


def facts_words(facts: Facts) -> str:
    """Write what results depend on for a reader: ``blas openblas Haswell, numpy X86_V3``."""
    return ", ".join(f"{name} {fact}" for name, fact in sorted(compared(facts).items())) or UNKNOWN


def processor_name() -> str:
    """Name of the processor, as its system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


def _choosing(variables: Mapping[str, str]) -> set[str]:
    """Names of the variables that choose kernels or change results."""
    patterns = (*CHOOSING, *(name for names in CHANGING.values() for name in names))
    return {name for name in variables if any(fnmatch(name, pattern) for pattern in patterns)}


def _first_environment() -> dict[str, str]:
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    pairs = (item.partition(b"=") for item in content.split(b"\0") if item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _features() -> dict[str, bool]:
    return dict(import_module("numpy._core._multiarray_umath").__cpu_features__)


def _numpy_level() -> str:
    features = _features()
    levels = ("X86_V4", "X86_V3", "X86_V2", "SVE", "ASIMD")
    return next((name for name in levels if features.get(name)), "baseline")


def _isa(cap: str = "") -> str:
    """The best of oneDNN's instruction sets that the processor has, up to a cap."""
    features, ranks = _features(), list(ISAS)
    capped = [name for name in ranks if cap.upper().startswith(name)]
    allowed = ranks[ranks.index(capped[0]) :] if capped else ranks
    return next(
        (name for name in allowed if all(features.get(each) for each in ISAS[name])),
        platform.machine(),
    )


def _onednn() -> str:
    """The instruction set that oneDNN uses."""
    return _isa(os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")))


def _blas() -> dict[str, str]:
    import_module("scipy.linalg")  # has a library of its own
    pools = import_module("threadpoolctl").threadpool_info()
    kernels = {
        f"{pool['internal_api']} {pool.get('architecture') or ''}".strip()
        for pool in pools
        if pool["user_api"] == "blas"
    }
    threads = {str(pool["num_threads"]) for pool in pools}
    return {"blas": ", ".join(sorted(kernels)), "threads": "/".join(sorted(threads))}


def _keras_types() -> str:
    keras = import_module("mer_mlflow.networks.keras_backend").keras
    config = keras.config
    parts = (config.floatx(), config.image_data_format(), config.epsilon())
    return " ".join(map(str, (*parts, config.dtype_policy().name)))


def _tensorflow() -> dict[str, str]:
    tensorflow = import_module("tensorflow")
    port = import_module("tensorflow.python.util._pywrap_util_port")
    devices = [
        tensorflow.config.experimental.get_device_details(each).get("device_name", "GPU")
        for each in tensorflow.config.list_physical_devices("GPU")
    ]
    isa = _onednn()
    return {
        "onednn": isa if port.IsMklEnabled() else f"off ({isa})",
        "device": ", ".join(devices) or "cpu",
    }


def _torch() -> dict[str, str]:
    torch = import_module("torch")
    has_gpu = torch.cuda.is_available()
    return {
        "onednn": _onednn() if torch.backends.mkldnn.is_available() else "off",
        "torch": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name() if has_gpu else "cpu",
    }

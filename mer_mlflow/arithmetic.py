"""Arithmetic of a process: which kernels its libraries use, and how to fix this choice.

NumPy, OpenBLAS, oneDNN, MKL and PyTorch choose kernels that suit the processor. Different kernels
add numbers in a different order, so results of the same code and seed differ in the last digits.
During the training of a network these differences grow until they change its scores. ``native``
arithmetic leaves the choice to the libraries. ``portable`` restricts all of them to AVX2 with FMA
(x86-64-v3), which processors support since Intel Haswell (2013) and AMD Zen (2017). The arithmetic
of each fold is recorded, so that folds can be compared.
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
"""Environment variable of a process that was restarted to change its arithmetic."""
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
"""Processor features of x86-64-v3, as named by NumPy."""

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
"""Environment variables that choose kernels; :func:`describe` records the kernels in use."""
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
"""Other environment variables that change results, for each library that reads them; the empty
name stands for all libraries. :func:`describe` records their values."""

UNKNOWN = "unknown"
NOT_COMPARED = ("processor", "detected", "threads")
"""Facts that are recorded for information only: results depend on the kernels instead, and the
number of threads of a network belongs to the identity of its run."""
ISAS = {
    "AVX512_CORE": ("AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "AVX512CD"),
    "AVX2": ("AVX2", "FMA3"),
    "AVX": ("AVX",),
    "SSE41": ("SSE41",),
}
"""Instruction sets of oneDNN that differ for 32-bit numbers, and the processor features that each
of them needs."""

DESCRIBE = (
    "import sys; from mer_mlflow.arithmetic import describe, facts_text; "
    "print(facts_text(describe(sys.argv[1])))"
)

Facts = Mapping[str, str]
"""Description of the arithmetic of a process; empty if it is unknown."""


class NotInEffectError(ParameterError):
    """This process was started without the environment variables of the requested arithmetic."""


def check_arithmetic(arithmetic: str) -> None:
    """Check that this processor supports an arithmetic.

    Raises
    ------
    ParameterError
        If the arithmetic does not exist, or the processor does not support it.
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
    """Return the environment variables of a process that uses an arithmetic.

    Parameters
    ----------
    arithmetic : one of ``ARITHMETICS``
    base : environment to complete, by default that of this process; variables that contradict
        portable arithmetic are removed
    """
    given = dict(os.environ if base is None else base)
    if arithmetic == NATIVE:
        return given
    for name in _choosing(given):
        del given[name]
    return given | dict.fromkeys(THREAD_VARIABLES, "1") | PORTABLE_VARIABLES


def is_in_effect(arithmetic: str) -> bool:
    """Return whether this process was started with the environment of an arithmetic.

    Libraries read these variables once, when they are loaded; later changes have no effect.
    """
    if arithmetic == NATIVE:
        return True
    first = _first_environment()
    others = _choosing(first) - PORTABLE_VARIABLES.keys()
    return not others and PORTABLE_VARIABLES.items() <= first.items()


def require(arithmetic: str) -> None:
    """Check that this process was started with the environment of an arithmetic.

    Raises
    ------
        NotInEffectError
        If it was not.
    ParameterError
        If the arithmetic does not exist, or the processor does not support it.
    """
    check_arithmetic(arithmetic)
    if not is_in_effect(arithmetic):
        raise NotInEffectError(
            f"arithmetic={arithmetic}: this process was started without the variables that "
            f"it needs; start it with mer_mlflow.arithmetic.environment({arithmetic!r})"
        )


@cache
def describe(framework: str) -> Facts:
    """Describe the arithmetic of this process, on which the results of a framework depend.

    Parameters
    ----------
    framework : ``"scikit-learn"``, ``"keras"`` or ``"torch"``; it is imported if necessary

    Returns
    -------
    facts by name. ``numpy``: instruction set of its kernels for floats; ``blas``: kernels of each
    library; ``onednn``: instruction set in use, ``off`` where TensorFlow does not use oneDNN;
    ``torch``: its vector kernels; ``device``: where networks run; ``keras``: data types and
    layout; ``variables``: other environment variables that change results. ``processor``,
    ``detected`` (instruction set of the processor) and ``threads`` are for information, and not
    compared
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
    """Describe the arithmetic of a new process that is started with an environment.

    Parameters
    ----------
    framework : as for :func:`describe`
    variables : environment variables, as pairs of name and value

    Returns
    -------
    facts by name; empty if the process cannot be started
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
    """Return facts as the text of a tag."""
    return json.dumps(dict(facts), sort_keys=True)


def read_facts(text: str | None) -> Facts:
    """Parse the text of :func:`facts_text`; return no facts for None or an invalid text."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {str(name): str(fact) for name, fact in read.items()}


def compared(facts: Facts) -> Facts:
    """Return the facts that results depend on; none if the arithmetic is unknown."""
    return {name: fact for name, fact in facts.items() if name not in NOT_COMPARED}


def kinds(arithmetics: Iterable[Facts]) -> list[tuple[int, Facts]]:
    """Count different arithmetics, most frequent first; unknown ones are counted as one more."""
    counts = Counter(facts_text(compared(facts)) for facts in arithmetics)
    return [(count, read_facts(text)) for text, count in counts.most_common()]


def difference(facts: Facts, other: Facts) -> str:
    """Describe the differences between two arithmetics: ``onednn AVX2, not AVX512_CORE``."""
    if not facts or not other:
        return UNKNOWN
    names = sorted(compared(facts).keys() | compared(other).keys())
    return ", ".join(
        f"{name} {facts.get(name, 'none')}, not {other.get(name, 'none')}"
        for name in names
        if facts.get(name) != other.get(name)
    )


def readable_facts(facts: Facts) -> str:
    """Describe the facts that results depend on: ``blas openblas Haswell, numpy X86_V3``."""
    return ", ".join(f"{name} {fact}" for name, fact in sorted(compared(facts).items())) or UNKNOWN


def processor_name() -> str:
    """Return the name of the processor, as reported by the operating system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


def _choosing(variables: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that choose kernels or change results."""
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
    """Return oneDNN's best instruction set on this processor, at most ``cap``."""
    features, ranks = _features(), list(ISAS)
    capped = [name for name in ranks if cap.upper().startswith(name)]
    allowed = ranks[ranks.index(capped[0]) :] if capped else ranks
    return next(
        (name for name in allowed if all(features.get(each) for each in ISAS[name])),
        platform.machine(),
    )


def _onednn() -> str:
    """Return the instruction set that oneDNN uses."""
    return _isa(os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")))


def _blas() -> dict[str, str]:
    import_module("scipy.linalg")  # SciPy may load another BLAS library
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

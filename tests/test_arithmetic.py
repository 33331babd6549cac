"""Arithmetic: what a process computes with is described as it is, and portable where requested."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow import arithmetic
from mer_mlflow.arithmetic import (
    CHOOSING,
    NATIVE,
    NEEDED_FEATURES,
    PORTABLE,
    PORTABLE_VARIABLES,
    THREAD_VARIABLES,
    NotInEffectError,
    check_arithmetic,
    compared,
    describe,
    describe_worker,
    difference,
    environment,
    facts_text,
    is_in_effect,
    kinds,
    read_facts,
    readable_facts,
    require,
)
from mer_mlflow.errors import ParameterError

HERE = {name: value for name, value in os.environ.items() if name not in CHOOSING}
is_x86 = platform.machine().lower() in ("x86_64", "amd64")
has_avx2 = all(arithmetic._features().get(name) for name in NEEDED_FEATURES)
needs_avx2 = pytest.mark.skipif(
    not (is_x86 and has_avx2), reason="portable arithmetic needs an x86-64 processor with AVX2"
)
FACTS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4)


def described(framework: str, **variables: str) -> dict[str, str]:
    """What a process with these variables says of itself."""
    return dict(describe_worker(framework, tuple(sorted({**HERE, **variables}.items()))))


def test_description_names_kernels_and_threads() -> None:
    facts = described("scikit-learn", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    assert facts["processor"] == arithmetic.processor_name()
    assert facts["threads"] == "1"
    assert "openblas" in facts["blas"]
    assert not {"onednn", "torch", "device"} & facts.keys()


@needs_avx2
def test_caps_are_described_as_they_are_in_effect() -> None:
    facts = described("scikit-learn", OPENBLAS_CORETYPE="Haswell", NPY_ENABLE_CPU_FEATURES="X86_V3")
    assert (facts["blas"], facts["numpy"]) == ("openblas Haswell", "X86_V3")
    # TensorFlow leaves oneDNN out on some processors unless it is requested
    on = described("keras", ONEDNN_MAX_CPU_ISA="AVX2", TF_ENABLE_ONEDNN_OPTS="1")
    assert on["onednn"] == "AVX2"
    off = described("keras", ONEDNN_MAX_CPU_ISA="SSE41", TF_ENABLE_ONEDNN_OPTS="0")
    assert off["onednn"] == "off (SSE41)"
    assert described("torch", ATEN_CPU_CAPABILITY="default")["torch"].upper() == "DEFAULT"


@pytest.mark.parametrize(
    ("cap", "features", "expected"),
    [
        ("", "SSE41 AVX AVX2 FMA3", "AVX2"),
        ("ALL", "SSE41 AVX AVX2 FMA3", "AVX2"),
        ("AVX512_CORE_AMX", "SSE41 AVX AVX2 FMA3", "AVX2"),
        ("avx2_vnni_2", "SSE41 AVX AVX2 FMA3 AVX512F AVX512BW AVX512DQ AVX512VL AVX512CD", "AVX2"),
        ("", "SSE41 AVX AVX2 FMA3 AVX512F AVX512BW AVX512DQ AVX512VL AVX512CD", "AVX512_CORE"),
        ("", "SSE41 AVX AVX2 FMA3 AVX512F", "AVX2"),
        ("AVX", "SSE41 AVX AVX2 FMA3", "AVX"),
        ("SSE41", "SSE41 AVX AVX2 FMA3", "SSE41"),
        ("nonsense", "SSE41 AVX", "AVX"),
        ("", "", platform.machine()),
    ],
)
def test_instruction_set_in_effect_is_that_of_processor_and_cap(
    cap: str, features: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "_features", lambda: dict.fromkeys(features.split(), True))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    assert arithmetic._onednn() == expected


def test_variables_that_change_results_are_described_where_their_library_is_used() -> None:
    variables = {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}
    assert "variables" not in described("scikit-learn", **variables)
    assert described("keras", **variables)["variables"] == (
        "ONEDNN_DEFAULT_FPMATH_MODE=BF16 TF_XLA_FLAGS=--tf_xla_auto_jit=2"
    )
    assert described("torch", **variables)["variables"] == "ONEDNN_DEFAULT_FPMATH_MODE=BF16"


def test_process_that_does_not_start_has_no_description() -> None:
    assert describe_worker("scikit-learn", (("PYTHONHOME", "/nowhere"),)) == {}


def test_threads_and_the_processor_name_make_no_difference() -> None:
    one = {"blas": "openblas Haswell", "threads": "1", "processor": "A", "detected": "AVX2"}
    other = {"blas": "openblas Haswell", "threads": "2", "processor": "B", "detected": "AVX"}
    assert compared(one) == compared(other) == {"blas": "openblas Haswell"}
    assert len(kinds([one, other])) == 1


def test_differences_are_named() -> None:
    one, other = {"numpy": "X86_V3", "onednn": "AVX2"}, {"numpy": "X86_V3", "onednn": "AVX512_CORE"}
    assert difference(one, other) == "onednn AVX2, not AVX512_CORE"
    assert difference({**one, "torch": "AVX2"}, one) == "torch AVX2, not none"
    assert difference({}, one) == difference(one, {}) == "unknown"
    assert readable_facts(one) == "numpy X86_V3, onednn AVX2"
    assert readable_facts({}) == "unknown"


def test_unknown_arithmetic_is_a_kind_of_its_own() -> None:
    known = {"blas": "openblas Haswell"}
    assert kinds([{}, known, known]) == [(2, known), (1, {})]


@given(FACTS)
def test_facts_are_read_back(facts: dict[str, str]) -> None:
    assert read_facts(facts_text(facts)) == facts


@given(st.none() | st.text() | st.sampled_from(["[1]", "3", '"a"', "null", "{", '{"a": {"b": 1}}']))
def test_anything_else_is_read_as_no_more_than_texts(text: str | None) -> None:
    facts = read_facts(text)
    assert all(isinstance(each, str) for pair in facts.items() for each in pair)


def test_native_environment_is_left_as_it_is() -> None:
    assert environment(NATIVE, {"ONEDNN_MAX_CPU_ISA": "SSE41"}) == {"ONEDNN_MAX_CPU_ISA": "SSE41"}


def test_portable_environment_holds_nothing_against_it() -> None:
    strange = {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": "AVX2",
        "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "MKL_CBWR": "AVX512",
        "OMP_NUM_THREADS": "7",
        "HOME": "/home/somebody",
    }
    made = environment(PORTABLE, strange)
    assert made == {
        "HOME": "/home/somebody",
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        **PORTABLE_VARIABLES,
    }


def test_unknown_arithmetic_is_refused() -> None:
    with pytest.raises(ParameterError, match="arithmetic=fast: must be one of native, portable"):
        check_arithmetic("fast")


@pytest.mark.parametrize(
    ("machine", "features", "words"),
    [
        ("arm64", "NEON", r"only for x86-64 processors \(this is arm64\)"),
        ("x86_64", "SSE41 AVX", "needs a processor with AVX2 and FMA .this one lacks AVX2, FMA3"),
    ],
)
def test_portable_arithmetic_needs_avx2(
    machine: str, features: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(arithmetic, "_features", lambda: dict.fromkeys(features.split(), True))
    with pytest.raises(ParameterError, match=words):
        check_arithmetic(PORTABLE)
    check_arithmetic(NATIVE)


@needs_avx2
def test_variables_count_only_where_the_process_was_started_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment(PORTABLE).items():
        monkeypatch.setenv(name, value)
    code = (
        "from mer_mlflow.arithmetic import is_in_effect, require; require('portable'); "
        "print(is_in_effect('portable'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "3"},  # as a worker with threads=3
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "True"
    if os.path.exists("/proc/self/environ"):  # noqa: PTH110, where it is known
        assert not is_in_effect(PORTABLE)
        with pytest.raises(NotInEffectError, match="started without the variables"):
            require(PORTABLE)
    assert is_in_effect(NATIVE)


@needs_avx2
def test_variable_that_changes_results_is_against_portable_arithmetic() -> None:
    code = "from mer_mlflow.arithmetic import is_in_effect as f; print(f('portable'))"
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "GLIBC_TUNABLES", "TF_XLA_FLAGS"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment(PORTABLE), name: ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "False", name


@needs_avx2
def test_portable_description_is_the_same_whatever_surrounds_it() -> None:
    plain = describe_worker("keras", tuple(environment(PORTABLE, HERE).items()))
    strange = {"ONEDNN_MAX_CPU_ISA": "SSE41", "TF_ENABLE_ONEDNN_OPTS": "0"}
    other = describe_worker("keras", tuple(environment(PORTABLE, {**HERE, **strange}).items()))
    assert compared(plain) == compared(other)
    assert json.loads(facts_text(compared(plain))) == {
        "blas": "openblas Haswell",
        "device": "cpu",
        "keras": "float32 channels_last 1e-07 float32",
        "numpy": "X86_V3",
        "onednn": "AVX2",
    }


def test_description_is_of_this_process() -> None:
    assert describe("scikit-learn")["numpy"] == arithmetic._numpy_level()

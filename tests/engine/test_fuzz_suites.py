"""A thousand suites that somebody got wrong: each is a plan, or is answered in short lines that a terminal can show."""

from __future__ import annotations

import copy
import json
import os
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import GenbenchError
from bench.cli._main import OK, WRONG, run_command
from bench.engine.suite import read_suite
from tests.suites import IMAGE_FAMILY, TEXT_FAMILY

pytestmark = pytest.mark.usefixtures("mixture")

SUITES, CHUNKS = 1000, 10
BASES = [
    f"""
name = "small"
about = "digits"
seeds = [0, 1]
metrics = ["fd", "kid_lenet", "parameters"]
without = ["is"]
extractors = ["lenet"]
controls = true
[budget]
train_steps = 20
batch_size = 32
samples = 100
checkpoint_every = 5
[datasets.digits]
[generators.mixture]
preset = "tiny"
latent = 4
budget = {{ train_steps = 4 }}
[generators.wide]
family = "mixture"
width = 16
lr = 1e-3
decoder = "gaussian"
[generators.{IMAGE_FAMILY}]
""",
    f"""
controls = false
[datasets.words]
source = "kjv"
[generators.{TEXT_FAMILY}]
[generators.small]
family = "{TEXT_FAMILY}"
preset = "test"
lr = 0.1
""",
]


class Raw(str):
    """TOML as it stands."""


def odd_values(folder: Path) -> list[Any]:
    """What people and programs write by mistake."""
    numbers = ["0", "-1", "2147483648", "9223372036854775808", "1" + 400 * "0", 5000 * "9", f"0x{5000 * 'f'}"]
    numbers += ["inf", "-inf", "nan", "1e999", "1e-320", "-0.0", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z"]
    texts = [
        "",
        " ",
        "x" * 300,
        "y" * 9000,
        "\x1b[31mred",
        "a\0b",
        "a\nb",
        "\u202eright",
        "é" * 150,
        "\U0001f600",
        "%s{}",
    ]
    texts += ["mixture", "real", TEXT_FAMILY, "digits", "mnist", "fd", "fd_lenet", "tiny"]
    texts += ["evaluate:", ":", "x:y", "../x", "CON"]
    paths = [str(folder), *(str(folder / name) for name in ("fifo", "empty", "list.safetensors", "no"))]
    paths += ["~nosuchuser/x", "~", "/dev/zero", "/" * 5000, f"/tmp/{'z' * 300}", "/proc/self/mem"]
    nested = [Raw("[" * n + "]" * n) for n in (1, 3, 20, 300, 20_000)]
    tables: list[Any] = [{}, {"a": 1}, {"family": "mixture"}, [], [[]], [1, "a"], ["fd", 3], list(range(500)), True]
    return [*map(Raw, numbers), *texts, *paths, *nested, *tables, False, Raw("{a=" * 500 + "1" + "}" * 500), Raw("@")]


KEYS = ["name", "seeds", "budget", "datasets", "generators", "family", "load", "preset", "source", "root", "window", ""]
KEYS += ["latent", "time_limit", "samples", "\x1b", "k" * 5000, "a.b", "ключ", "\n", "extractors", "without", "v" * 150]


def dump(value: Any) -> str:
    """A value as TOML in one line."""
    match value:
        case Raw():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{dump(key)} = {dump(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(dump, value)) + "]"
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
    return json.dumps(value)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (table, key) and (list, index) within a value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def reshape(table: dict[str, Any], rng: random.Random, odd: list[Any]) -> None:
    """One change of structure, in place."""
    where, key = rng.choice(list(places(table)) or [(table, "x")])
    match rng.randrange(6):
        case 0 | 1:
            where[key] = rng.choice(odd)
        case 2:
            table_of = where if isinstance(where, dict) else table
            table_of[rng.choice(KEYS)] = rng.choice(odd)
        case 3:
            del where[key]
        case 4:
            where[key] = rng.choice([[where[key]], {rng.choice(KEYS): where[key]}, str(where[key])])
        case 5:
            where[key] = copy.deepcopy(rng.choice([inner[k] for inner, k in places(table)]))


def damage(content: bytes, rng: random.Random) -> bytes:
    """One change of bytes."""
    at, to = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    match rng.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + content[to:]
        case 2:
            return content[:to] + content[at:]
        case 3:
            return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]
        case 4:
            return (
                content[:at]
                + rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"[[", b'"""', b"=", b"\r"])
                + content[at:]
            )
    flipped = bytearray(content or b"x")
    flipped[at % len(flipped)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def mutated(number: int, odd: list[Any]) -> tuple[bytes, list[str]]:
    """A suite's file, and overrides for it."""
    rng = random.Random(number)
    base = rng.choice(BASES)
    table = tomllib.loads(base)
    if number % 2:
        for _ in range(rng.randrange(4)):
            reshape(table, rng, odd)
    content = "".join(f"{dump(key)} = {dump(value)}\n" for key, value in table.items()).encode()
    if number % 2 == 0:
        content = base.encode()
        for _ in range(rng.randrange(4)):
            content = damage(content, rng)
    overrides = []
    if rng.random() < 0.3:
        path = ".".join(
            rng.choice(["generators", "mixture", "budget", "samples", *KEYS]) for _ in range(rng.randrange(1, 5))
        )
        overrides = [
            rng.choice([path, "generators.mixture.latent", "budget.samples", "x." * 99]) + rng.choice(["=", "= ", ""])
        ]
        overrides[0] += rng.choice([str(rng.choice(odd)), dump(rng.choice(odd)), "1\nb = 2"])
    return content, overrides


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("odd")
    os.mkfifo(folder / "fifo")
    (folder / "empty").touch()
    (folder / "list.safetensors").write_bytes((30).to_bytes(8, "little") + b'{"__metadata__":{"genbench":"["')
    return odd_values(folder)


def assert_legible(text: str) -> None:
    assert len(text) < 5000
    assert all(line.isprintable() for line in text.split("\n")), text


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mutated_suite_is_checked_or_answered(chunk: int, odd: list[Any], tmp_path: Path) -> None:
    path, answered = tmp_path / "suite.toml", 0
    for number in range(chunk, SUITES, CHUNKS):
        content, overrides = mutated(number, odd)
        path.write_bytes(content)
        try:
            read_suite(path, overrides)
        except GenbenchError as error:
            assert_legible(str(error))
            answered += 1
    assert 0.3 < answered / (SUITES / CHUNKS) < 1  # some are right by luck


@pytest.mark.slow
def test_a_mutated_suite_is_planned_or_answered(
    odd: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command line does it, from the file to the printed plan."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "suite.toml"
    for number in range(SUITES, SUITES + 200):
        content, overrides = mutated(number, odd)
        path.write_bytes(content)
        words = [word for override in overrides for word in ("--set", override)]
        status = run_command(["run", str(path), "--dry-run", *words])
        out, told = capsys.readouterr()
        assert_legible(told)
        assert status == (OK if out else WRONG)


@pytest.mark.parametrize(
    "name", ["folder.toml", "fifo", "fifo.toml", "no.toml", "x" * 300, "a\0b", "~nosuch/x.toml", ""]
)
def test_what_is_no_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    for pipe in ("fifo", "fifo.toml"):
        os.mkfifo(tmp_path / pipe)
    with pytest.raises(GenbenchError) as caught:
        read_suite(name)
    assert_legible(str(caught.value))

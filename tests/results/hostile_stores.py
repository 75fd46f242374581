"""Run folders gone wrong, for the tests of reports: honest records and samples, changed at random."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench import Interval, RunRecord, render
from bench.record import upgraded
from tests.report_records import as_schema_1, failed, measured, record, save_images, save_texts

REPORTS = ("index.html", "report.md", "report.csv", "report.json")
LONG = "n" * 100_000
TEXTS = (
    "", " ", "a\x00b", "\x1b[31mred\x1b[0m", "two\nlines\r\n", "\u202ereversed\u2066", "\ufeff", "\ufffe", "\U0010ffff",
    "漢字かな", "𝕏 😀 👩\u200d👧", "é" + "\u0301" * 300, "א" * 300, "؀ بسم", "a" * 70, LONG,
    "<script>alert(1)</script>", "'\"><img src=x onerror=1>", "]]>", "&lt;", "#0072b2", 'id="x"', "url(#a)",
    "{{ 7 * 7 }}", "{% raw %}", "%s%n", "$\\frac{1}{0}$", "$", "_x_", "__", "| a | b |", "```", "`", "# x",
    "=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "../../etc/passwd", "https://example.org/x", "NaN", "Infinity", "1e999",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**64, 10**400, -(10**400), 0.0, -0.0, 5e-324, 1e-300, 1e-100, -1e-12, 0.1,
    1e15, 1e100, 1e300, -1e300, 1.7e308, -1.7e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
_DEEP: Any = 0
for _ in range(150):
    _DEEP = [_DEEP]
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    {"": ""},
    {"a": {"b": {"c": [1, None]}}},
    _DEEP,
    [LONG],
    {LONG: 1},
)
CURVE = tuple({"step": s, "seconds": s / 10, "losses": {"loss": 9 / s, "kl": 1.0}} for s in range(1, 6))


def honest(folder: Path) -> list[RunRecord]:
    """Records of pictures and of texts with everything in them: yardsticks, intervals, curves, failures, gaps."""
    records = []
    for seed in range(2):
        for place, name in enumerate(("real", "vae", "dcgan", "noise")):
            value = 10.0 ** (place / 2) + seed / 10
            around = Interval(lo=value - 0.1, hi=value + 0.1, method="delta method")
            numbers = (measured("fd_lenet", value, interval=around), measured("sample_throughput", 100.0 * (place + 1)))
            curve = CURVE if name in ("vae", "dcgan") else ()
            samples = save_images(folder, f"{name}{seed}.npz", _pictures(seed))
            records.append(
                record(name, seed, measurements=numbers, omitted={"fid": "no"}, curve=curve, samples=samples)
            )
        text = save_texts(folder, f"gpt{seed}.json", ["a first text", "a second text"])
        records.append(record("gpt", seed, dataset="kjv", modality="text", samples=text, scores={"perplexity": 3.0}))
        records.append(failed("flow", seed))
    skipped = {"kind": "unsupported", "message": "makes tokens only"}
    return [*records, record("gpt", status="skipped", error=skipped)]


def _pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (7, 1, 8, 8), np.uint8)


def write_records(folder: Path, documents: list[Any]) -> None:
    """Documents as records/NUMBER.json: whatever they hold, infinities and half surrogate pairs too."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(documents):
        (folder / "records" / f"{number:02d}.json").write_text(json.dumps(document), encoding="utf-8")


def hostile_store(folder: Path, seed: int) -> None:
    """A folder of honest records with random changes to documents and files.

    Of even seeds the changes are such as the schema admits, so that they come to the pages.
    """
    rng = random.Random(seed)
    documents = [r.model_dump(mode="json") for r in honest(folder)]
    documents = [as_schema_1(document) if rng.random() < 0.5 else document for document in documents]
    for _ in range(rng.randint(1, 20)):
        changed = deepcopy(documents)
        rng.choice((_change_one, _change_one, _change_all))(rng, changed)
        if seed % 2 or all(map(_admitted, changed)):
            documents = changed
    write_records(folder, documents)
    for _ in range(rng.randint(0, 3)):
        rng.choice((_damage_record, _damage_sample, _replace_sample))(rng, folder)


def _admitted(document: Any) -> bool:
    try:
        RunRecord.model_validate_json(json.dumps(upgraded(document)), strict=True)
    except ValidationError:
        return False
    return True


def _change_one(rng: random.Random, documents: list[Any]) -> None:
    _change(rng, rng.choice(documents))


def _change_all(rng: random.Random, documents: list[Any]) -> None:
    """The same change everywhere, as of a label or of a metric that all trials share."""
    state = rng.getstate()
    for document in documents:
        rng.setstate(state)
        _change(rng, document)


def _change(rng: random.Random, document: Any) -> None:
    node, key = rng.choice(list(_places(document)))
    match rng.choice(("like", "like", "like", "any", "drop", "add", "rename", "double")):
        case "like":
            node[key] = _like(rng, node[key])
        case "any":
            node[key] = deepcopy(rng.choice((*TEXTS, *NUMBERS, *OTHERS)))  # one that stood in itself would have no end
        case "drop":
            del node[key]
        case "add" if isinstance(node, dict):
            node[rng.choice(TEXTS)] = node[key]
        case "rename" if isinstance(node, dict):
            node[rng.choice(TEXTS)] = node.pop(key)
        case "double" if isinstance(node, list):
            node.append(node[key])


def _like(rng: random.Random, value: Any) -> Any:
    """Another value of its type, so that the schema has a reason to admit it."""
    match value:
        case bool():
            return not value
        case int():
            return rng.choice([number for number in NUMBERS if isinstance(number, int)])
        case float():
            return rng.choice(NUMBERS)
        case str():
            return rng.choice(TEXTS)
        case list():
            return (value * rng.choice((0, 2, 50)))[:200]
        case dict():
            return dict(zip(rng.sample(TEXTS, len(TEXTS)), value.values(), strict=False))
    return deepcopy(rng.choice(OTHERS))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document that holds a value: (container, key)."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _damage_record(rng: random.Random, folder: Path) -> None:
    _damage(rng, rng.choice(sorted((folder / "records").iterdir())))


def _damage_sample(rng: random.Random, folder: Path) -> None:
    _damage(rng, rng.choice(sorted((folder / "samples").iterdir())))


def _damage(rng: random.Random, path: Path) -> None:
    """Bytes changed, bytes lost."""
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        content = bytearray(file.read(2**20))
    for _ in range(rng.choice((1, 1, 5, 50))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.unlink()
    path.write_bytes(content[: rng.choice((len(content), len(content), len(content) // 2, 0))])


def _replace_sample(rng: random.Random, folder: Path) -> None:
    path = rng.choice(sorted((folder / "samples").iterdir()))
    if path.is_dir() and not path.is_symlink():
        return
    path.unlink()
    rng.choice(FILES)(path)


def packed(*arrays: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in arrays:
            archive.writestr(name, content)
    return buffer.getvalue()


def header(shape: tuple[int, ...], dtype: str = "|u1", by_columns: bool = False) -> bytes:
    """The beginning of an .npy file that claims this shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": by_columns, "shape": shape})
    return buffer.getvalue()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


FILES: tuple[Callable[[Path], Any], ...] = (
    Path.mkdir,
    os.mkfifo,
    sparse,
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to(path),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(packed(("samples.npy", header((10**12, 1, 8, 8))))),
    lambda path: path.write_bytes(packed(("samples.npy", header((1, 1, 1, 100_000)) + bytes(100_000)))),
    lambda path: path.write_bytes(packed(("samples.npy", header((1, 3, 3000, 1)) + bytes(9000)))),
    lambda path: path.write_bytes(packed(("samples.npy", header((5, 1, 8, 8), "|O")))),
    lambda path: path.write_bytes(packed(("samples.npy", bytes(2**24)))),
    lambda path: path.write_bytes(packed(("other.npy", b"x"))),
    lambda path: path.write_text(json.dumps(TEXTS)),
    lambda path: path.write_text('["' + "x" * 2**23 + '"]'),
    lambda path: path.write_text("[" * 2**20),
    lambda path: path.write_text('["\\ud800", "' + "\\u0301" * 5000 + '"]'),
)


def pages(folder: Path) -> dict[str, str]:
    """All reports of a run folder, by name."""
    render(folder)
    return {name: (folder / "report" / name).read_text(encoding="utf-8") for name in REPORTS}

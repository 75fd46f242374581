"""``genbench doctor``: hardware, threads, data, weights, plugins, and how to get what is not there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from bench.cli._options import Json
from bench.cli._tables import show
from bench.errors import GenbenchError, said
from bench.files import cache_folder, cache_limit, private_folder
from bench.probes import load
from bench.registry import KINDS, command, registry


@command("doctor")
def doctor(as_json: Json = False) -> None:
    """Say what is here, and how to get what is missing."""
    findings = examine()
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")  # paths and addresses are to be copied whole
    for f in findings:
        table.add_row(f.section, f.name, "yes" if f.here else Text("no", "bold"), Text(f.detail))
    show(table)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, whether it is there, and where it is or how to get it."""

    section: str
    name: str
    here: bool
    detail: str


def examine() -> list[Finding]:
    """All findings; nothing is read, loaded or fetched. Takes half a second, to see how busy the machine is."""
    located = [*_located("datasets", "data"), *_located("extractors", "weights"), *_models()]
    return [*_machine(), *located, *map(_cache, ("features", "datasets")), *_plugins()]


def _machine() -> list[Finding]:
    import torch  # takes longer than all the help there is

    from bench.probes.machine import cpu_name, usable_cores

    gpu = torch.cuda.is_available()
    gpu_detail = torch.cuda.get_device_name() if gpu else "none usable: trials run on the CPU"
    return [
        Finding("machine", "cpu", True, cpu_name()),
        Finding("machine", "threads", True, f"{usable_cores()} usable cores, shared out among --jobs"),
        _load(usable_cores()),
        Finding("machine", "gpu", gpu, gpu_detail),
        Finding("machine", "torch", True, torch.__version__),
    ]


def _load(cores: int) -> Finding:
    """Whether times taken now would be of this work alone, by the next half second."""
    found = load.now()
    if found.others is None:
        return Finding("machine", "idle", False, "this system does not say what other processes do")
    busy = found.busy(cores)
    what = ": times taken now would not be of a trial alone" if busy else ""
    return Finding("machine", "idle", not busy, f"others keep {found.others:.1f} of {found.cores} cores in use{what}")


def _located(kind: str, section: str) -> list[Finding]:
    return [_try(section, name, entry.locate) for name, entry in registry.all(kind).items()]


def _models() -> list[Finding]:
    """Models that metrics ask, each once, by the names of these metrics."""
    asking: dict[Callable[[], str], list[str]] = {}
    for name, entry in registry.all("metrics").items():
        if entry.locate:
            asking.setdefault(entry.locate, []).append(name)
    return [_try("models", ", ".join(names), locate) for locate, names in asking.items()]


def _try(section: str, name: str, locate: Callable[[], str]) -> Finding:
    try:
        return Finding(section, name, True, locate())
    except Exception as error:  # DataError, but a plugin may raise anything
        return Finding(section, name, False, said(error))


def _cache(what: str) -> Finding:
    folder = cache_folder() / what
    try:
        limit = cache_limit()
        with tempfile.TemporaryFile(dir=private_folder(folder)):
            pass
    except OSError as error:
        why = f"{folder} cannot be used ({error.strerror or error}): {what} are made whenever they are needed"
        return Finding("cache", what, False, f"{why}; GENBENCH_CACHE names another folder")
    except GenbenchError as error:
        return Finding("cache", what, False, str(error))
    return Finding("cache", what, True, f"{folder}, private to its user, at most {limit / 2**30:g} GB")


def _plugins() -> list[Finding]:
    for kind in KINDS:
        registry.all(kind)
    failed = [Finding("plugins", name, False, f"cannot be imported: {why}") for name, why in registry.failures.items()]
    return failed or [Finding("plugins", "all", True, "import without error")]

"""What one run leaves behind: a RunRecord, one JSON file, described by ``bench/record.schema.json``.

Estimate is what a metric returns; Measurement is that estimate under its metric's name, unit and direction.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from bench.escapes import escape
from bench.protocols import Aspect, Role

SCHEMA_FILE = Path(__file__).with_name("record.schema.json")
Status = Literal["ok", "failed", "skipped"]
FailureKind = Literal["exception", "killed", "timeout", "memory", "unsupported"]
Better = Literal["lower", "higher", "none"]
Precision = Literal["fp32", "bf16"]
SCHEMA: Literal[2] = 2  # of records as they are written; 1 is read on
LONGEST_KEPT = 10_000  # characters of a message or a traceback in a record
# Control characters but tab and line break, and halves of characters, which UTF-8 cannot hold.
_ILLEGIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
LARGEST = 1e300  # of any number in a record: sums, differences and units of it stay finite
_UTC = (
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?[+]00:00$"
)
# What records of schema 1 said of their plan, beside what they found; the weights with their hash.
_PLANNED_IN_1 = ("suite", "command", "generator", "family", "control", "modality", "dataset", "fingerprint", "seed",
                 "params", "budget", "load")  # fmt: skip
# What the names of metrics and yardsticks stood for before records said it.
_LEAD_BEFORE: Mapping[str, tuple[int, ...]] = {
    r"fid": (1, 1),
    r"fd_lenet": (1, 2),
    r"fd(_.*)?|(coverage|class_accuracy|nn_ratio)(_.*)?|sample_throughput": (1,),
    r"self_bleu|copied_ngram|recall(_.*)?|peak_rss_bytes": (2,),
    r"kid.*": (3,),
    r"bits_per_byte": (0,),
    r"perplexity": (5,),
}
_EXACT_BEFORE = frozenset({"parameters", "nfe", "sample_flops", "training_flops", "checkpoint_bytes", "peak_gpu_bytes"})
_NEW = {"lead", "exact"}  # keys of a measurement that were not always there
_ROLE_BEFORE = {"real": "ceiling", "noise": "floor", "copycat": "plagiarist"}
_WEIGHTS_IN_1 = r"(?s)(?P<load>.*) \(sha256:(?P<load_digest>[0-9a-f]{64})\)"
# What a table of the environment must say in text, because machines are told apart by it.
_MACHINE = ("cpu", "gpu", "device")


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, as 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def legible(value: Any) -> Any:
    """A value as JSON and UTF-8 can hold it, whoever made it; tables and lists likewise.

    Control characters and lone surrogates become their escapes, NaN and infinity their names.
    """
    match value:
        case str():
            return _ILLEGIBLE.sub(lambda found: escape(found[0]), value)
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {legible(key): legible(inner) for key, inner in value.items()}
        case list() | tuple():
            return [legible(inner) for inner in value]
    return value


def _told(value: Any) -> Any:
    """A legible message, of which a long one loses its middle: an error stands at its start, its cause at its end."""
    value = legible(value)
    if isinstance(value, str) and len(value) > LONGEST_KEPT:
        half = LONGEST_KEPT // 2
        return f"{value[:half]}\n[{len(value) - 2 * half} characters left out]\n{value[-half:]}"
    return value


def _in_range(value: Any) -> Any:
    """The JSON value, if every number in it is finite and at most LARGEST; true for integers of any length too."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case Mapping() as table:
                waiting += table.values()
            case list() as items:
                waiting += items
            case int() | float() as number if not abs(number) <= LARGEST:
                raise ValueError(f"a number should be finite and at most {LARGEST:g}")
    return value


UNDATED = "1970-01-01T00:00:00+00:00"  # of what says no date: older than all that do


def _moment(created: str) -> str:
    if not re.fullmatch(_UTC, created):
        raise ValueError("should be a time in UTC, such as 2030-01-02T03:04:05+00:00")
    return created


def _machine_in_text(environment: dict[str, Any]) -> dict[str, Any]:
    for name in _MACHINE:
        if not isinstance(environment.get(name), str | None):
            raise ValueError(f"{name} should be text or null")
    return environment


N = TypeVar("N", "Estimate", "Measurement")
Text = Annotated[str, BeforeValidator(legible)]
Message = Annotated[str, BeforeValidator(_told)]
Label = Annotated[str, Field(pattern=r"\S")]
Number = Annotated[float, AfterValidator(_in_range), Field(json_schema_extra={"maximum": LARGEST, "minimum": -LARGEST})]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Table = Annotated[dict[str, Any], AfterValidator(_in_range)]
Parts = Annotated[tuple[Number, ...], Field(max_length=100)]  # none, or at least two
Protocol = Annotated[Mapping[str, str | int | float | bool], AfterValidator(_in_range)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Frozen):
    """lo <= value <= hi at ``level`` by ``method``."""

    lo: Number
    hi: Number
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    method: str

    @model_validator(mode="after")
    def _in_order(self) -> Interval:
        if self.lo > self.hi:
            raise ValueError(f"an interval should not end at {self.hi:g} before it begins at {self.lo:g}")
        return self


def _within(number: N) -> N:
    """A number whose interval holds it, but for the rounding of the arithmetic."""
    if (around := number.interval) is not None:
        slack = 1e-9 * max(abs(around.lo), abs(around.hi))
        if not around.lo - slack <= number.value <= around.hi + slack:
            raise ValueError(f"the interval [{around.lo:g}, {around.hi:g}] should hold the value {number.value:g}")
    return number


class Estimate(Frozen):
    """What a metric returns: a finite value, what it rests on, and how sure it is.

    n: number of samples, windows or calls behind the value.
    protocol: everything another evaluator must match for the two numbers to be comparable.
    kind: ``bound`` when the truth is only known to be at least as good as the value.
    parts: what each part of the test data adds to the error of the value (``bench.ratio_parts``), the same parts for
        all that is measured by this protocol: two models that find the same parts hard are told apart by them sooner.
    busy: whether other work kept the machine busy while it was timed; None where nobody looked.
    """

    value: float
    n: Count
    interval: Interval | None = None
    kind: Literal["point", "bound"] = "point"
    protocol: Protocol = Field(default_factory=dict)
    parts: Parts = ()
    busy: bool | None = None

    @field_validator("protocol", mode="before")
    @classmethod
    def _legible(cls, protocol: Any) -> Any:
        return legible(protocol)

    @field_validator("value")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not abs(value) <= LARGEST:
            raise ValueError(f"the value is {value}; a metric returns a finite number or raises Omitted")
        return value

    @model_validator(mode="after")
    def _inside(self) -> Estimate:
        return _within(self)


class Measurement(Frozen):
    """One number in a record, with all that is needed to read it."""

    metric: Label
    about: str = Field(default="", description="what the metric measures, in a sentence")
    value: Number
    unit: str
    better: Better
    aspect: Aspect
    kind: Literal["point", "bound"]
    n: Count
    interval: Interval | None
    protocol: Protocol
    lead: tuple[Count, ...] = Field(
        default=(),
        description="its place among what orders a board or stands for its aspect, lower first: the metric's, then its "
        "extractor's; empty: behind all others",
    )
    exact: bool = Field(default=False, description="the same in every run of the same code, whatever seed and machine")
    parts: Parts = Field(
        default=(), description="what each part of the test data adds to the value's error: the norm of their "
        "differences from another model's is the standard error of how far the two are apart",
    )  # fmt: skip
    busy: bool | None = Field(
        default=None,
        description="whether other work kept the machine busy while it was timed; null where nobody looked",
    )

    @model_validator(mode="after")
    def _inside(self) -> Measurement:
        return _within(self)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits of the protocol; numbers are ranked only within one fingerprint."""
        return digest(dict(self.protocol))[:8]


class CurvePoint(Frozen):
    """Mean losses over the steps since the last point; ``seconds``, examples and FLOPs of training so far.

    metrics: of the model at this step, on the validation split, where somebody asked for it.
    """

    step: Count
    seconds: Number
    losses: Mapping[str, Number]
    examples: Count | None = None
    flops: Number | None = None
    metrics: Mapping[str, Number] = Field(default_factory=dict)


class Failure(Frozen):
    """Why a trial has no result: ``kind`` is exception, killed, timeout, memory or unsupported."""

    kind: FailureKind
    message: Message
    traceback: Message | None = None


class Setup(Frozen):
    """What a trial is of, and what its suite asked for: as it is planned, and as its record keeps it.

    None in the fields that have it as their default is also what a record of schema 1 did not say.
    """

    suite: Label
    command: Text = Field(default="", description="what reproduces the run it was part of")
    generator: Label = Field(description="label in the suite")
    family: Label
    paper: str | None = Field(default=None, description="where the family was published")
    control: bool = False
    role: Role | None = Field(
        default=None, description="of a control: held-out data, what all should beat, or training data"
    )
    preset: str | None = None
    params: dict[str, Any] = Field(description="every hyperparameter, defaults too")
    load: str | None = Field(default=None, description="file of the weights, where they were not trained")
    load_digest: str | None = Field(default=None, description="SHA-256 of that file")
    read: str | None = Field(default=None, description="what the family reads: revision, files and their SHA-256")
    modality: Label
    dataset: Label = Field(description="label in the suite")
    source: str | None = Field(default=None, description="the dataset as it is registered")
    options: dict[str, Any] | None = Field(default=None, description="of the dataset, defaults too")
    fingerprint: str = Field(description="hash of the data")
    splits: dict[str, Count] | None = Field(default=None, description="examples in each split, of a text windows")
    left_out: dict[str, Count] | None = Field(
        default=None, description="how many of the source were dropped, by the reason; null where nothing was cleaned"
    )
    seed: Count
    metrics: tuple[str, ...] | None = Field(default=None, description="what was to be measured")
    curve_metrics: tuple[str, ...] | None = Field(default=None, description="what was to be measured on the way")
    precision: Precision | None = None
    compile: bool | None = None

    @property
    def title(self) -> str:
        return f"{self.generator} on {self.dataset}, seed {self.seed}"


class Plan(Setup):
    """The plan of a trial as its record keeps it: of a loaded file the name, of the budget what applies, all legible.

    budget: what the trial may spend, by its key in a suite.
    """

    budget: dict[str, Any]

    @field_validator("params", "options", "budget")
    @classmethod
    def _finite(cls, table: Any) -> Any:
        return _in_range(table)

    @property
    def weights(self) -> str | None:
        """``vae.safetensors (sha256:...)``, or the first of what the family reads; None where they were trained."""
        if self.load or not self.read:
            return f"{self.load} (sha256:{self.load_digest})" if self.load and self.load_digest else self.load
        first, *more = self.read.splitlines()
        return f"{first} and {len(more)} more" if more else first


class Asked(Frozen):
    """What a model was told to make, one label after another, and where that is which it made.

    ``captions``: each label in words; None where nobody named the classes.   ``unseen``: labels that no training
    example has, so that a model can know them by their words alone.
    """

    file: str = Field(description="under samples/: what it made, a sample for each label, in this order")
    labels: Annotated[tuple[Count, ...], Field(min_length=1)]
    captions: tuple[Text, ...] | None = Field(
        default=None, description="each of these labels in words; null where nobody named the classes"
    )
    unseen: tuple[Count, ...] = Field(default=(), description="those of these labels that no training example has")

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if self.captions is not None and len(self.captions) != len(self.labels):
            raise ValueError(f"there should be a caption a label, not {len(self.captions)} of {len(self.labels)}")
        return self

    @property
    def names(self) -> list[str]:
        """What each label is called: its caption, or its number where it has none."""
        captions = self.captions or [""] * len(self.labels)
        return [caption or f"label {label}" for caption, label in zip(captions, self.labels, strict=True)]


class RunRecord(Frozen):
    """One trial, whole: what was run, what came out, what it cost, and where."""

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")
    run_id: str = Field(pattern="^[0-9a-f]{16}$")
    training_id: str | None = Field(default=None, description="names the checkpoint; null where nothing is trained")
    plan: Plan = Field(description="what was to be done")
    status: Status
    steps: Count | None = Field(
        default=None, description="training steps done: fewer than the budget's where training was stopped"
    )
    kept_step: Count | None = Field(
        default=None, description="the step whose model was kept and measured, where the best was to be kept"
    )
    measurements: tuple[Measurement, ...] = ()
    omitted: dict[str, Message] = Field(default_factory=dict, description="metric -> why there is no number")
    remarks: tuple[Message, ...] = Field(default=(), description="what to know of this trial, a sentence each")
    curve: tuple[CurvePoint, ...] = ()
    phases: dict[str, Number] = Field(default_factory=dict, description="seconds by phase")
    environment: Annotated[Table, AfterValidator(_machine_in_text)] = Field(
        default_factory=dict,
        json_schema_extra={"properties": {name: {"type": ["string", "null"]} for name in _MACHINE}},
    )
    samples: str | None = Field(default=None, description="file under samples/")
    timings: str | None = Field(
        default=None, description="file of all that was read off the clocks, by scenario, in samples/"
    )
    continued: str | None = Field(
        default=None, description="file under samples/: how the model goes on from given beginnings, and its surprise"
    )
    nearest: str | None = Field(
        default=None,
        description="file under samples/: the training examples nearest to the first samples, in their order",
    )
    asked: Asked | None = Field(
        default=None, description="what a model that heeds labels was asked for, and what came; null for all others"
    )
    hashes: dict[str, str] = Field(default_factory=dict, description="SHA-256 of these files, in hex, by their names")
    created: Annotated[str, AfterValidator(_moment)] = Field(
        description="UTC, ISO 8601", json_schema_extra={"pattern": _UTC}
    )
    error: Failure | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="after")
    def _error_iff_not_ok(self) -> Self:
        if (self.error is None) != (self.status == "ok"):
            raise ValueError("a record has an error exactly when its status is not ok")
        return self

    @model_validator(mode="after")
    def _one_number_a_metric(self) -> Self:
        """Two would count as two seeds. A trial is skipped before anything is measured."""
        if len({m.metric for m in self.measurements}) < len(self.measurements):
            raise ValueError("a record has at most one measurement of each metric")
        if self.status == "skipped" and self.measurements:
            raise ValueError("a record that is skipped has no measurements")
        return self

    @property
    def trained(self) -> bool:
        """Whether its model was trained here: then another training would have come to another one."""
        return self.training_id is not None and self.plan.load is None

    @property
    def day(self) -> str:
        """The day it was made on, "" where it says none."""
        return "" if self.created == UNDATED else self.created[:10]

    @property
    def imported(self) -> bool:
        """Whether another tool measured it: then that is its suite, after which its data are named."""
        return self.plan.fingerprint.startswith(f"{self.plan.suite}:")

    @property
    def files(self) -> list[str]:
        """Of what lies beside it under samples/, the names."""
        asked = self.asked.file if self.asked else None
        return [name for name in (self.samples, self.continued, self.nearest, asked, self.timings) if name]

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """A record of before, as JSON has it, in the shape of today; one that has it, as it is.

    In schema 1 what was planned did not stand in ``plan``. In schema 2 a yardstick did not always say its role, nor a
    measurement where it leads, or whether it is the same in every run; of memory none led then.
    """
    if repr(document.get("schema", 1)) == "1" and "plan" not in document:
        plan = {name: document[name] for name in _PLANNED_IN_1 if name in document}
        if parts := re.fullmatch(_WEIGHTS_IN_1, str(plan.get("load"))):
            plan |= parts.groupdict()
        rest = {name: value for name, value in document.items() if name not in _PLANNED_IN_1}
        document = {**rest, "schema": SCHEMA, "plan": plan}
    match document:
        case {"plan": {"control": True, "family": str(family)} as plan} if "role" not in plan:
            document = {**document, "plan": {**plan, "role": _ROLE_BEFORE.get(family)}}
    match document:
        case {"measurements": [*found]} if any(isinstance(m, dict) and not m.keys() >= _NEW for m in found):
            document = {**document, "measurements": [_upgraded(m) if isinstance(m, dict) else m for m in found]}
    return document


def _upgraded(m: dict[str, Any]) -> dict[str, Any]:
    name, lead = str(m.get("metric")), m.get("lead")
    if lead is None or (not lead and name == "peak_rss_bytes"):
        lead = next((known for pattern, known in _LEAD_BEFORE.items() if re.fullmatch(pattern, name)), ())
    return {**m, "lead": lead, "exact": m.get("exact", name in _EXACT_BEFORE)}


def json_schema() -> str:
    """The published JSON Schema of a record."""
    return json.dumps(RunRecord.model_json_schema(mode="serialization"), indent=1) + "\n"

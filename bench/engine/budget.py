"""What a trial may spend: how long it trains, how much it draws, how often it saves and looks at itself."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, field_validator, model_validator

Unit = Literal["steps", "examples", "seconds", "flops"]
# What may end a training, by its key in a suite.
ENDS: dict[str, Unit] = {
    "train_steps": "steps",
    "train_examples": "examples",
    "train_seconds": "seconds",
    "train_flops": "flops",
}


class Target(NamedTuple):
    """So much of what ends a training."""

    unit: Unit
    amount: float

    def __str__(self) -> str:
        unit = {"seconds": "s", "flops": "FLOPs"}.get(self.unit, self.unit)
        return f"{self.amount:{',' if self.unit in ('steps', 'examples') else 'g'}} {unit}"


class Budget(BaseModel):
    """What every trial may spend.

    One of ``train_steps`` (1,000 if none is given), ``train_examples``, ``train_seconds`` and ``train_flops`` ends the
    training, after a whole step. Seconds are those of training steps alone: evaluation and checkpoints do not count.
    FLOPs are floating point operations, a multiplication with its addition counting as two.
    evaluate_every: steps, or a share of the training, between two looks at the validation split; left out: none.
    evaluate_samples: drawn at each look, at most as many as the split has; left out: as many as ``samples``.
    keep: a metric; the model that was best by it at one of these looks is the one that is measured.
    keep_samples: how many of the samples stay on disk, to be looked at; metrics see all.
    checkpoint_every: steps.
    stall_limit: seconds without a sign of life (a step, a batch drawn or looked at, a metric) that end a trial.
    time_limit: seconds after which training stops where it is and is measured there; measuring may take as long again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    train_steps: PositiveInt | None = 1000
    train_examples: PositiveInt | None = None
    train_seconds: PositiveFloat | None = None
    train_flops: PositiveFloat | None = None
    batch_size: PositiveInt = 64
    samples: PositiveInt = 1000
    keep_samples: PositiveInt = 256
    checkpoint_every: PositiveInt = 200
    evaluate_every: int | float | None = None
    evaluate_samples: PositiveInt | None = None
    keep: str | None = None
    stall_limit: PositiveFloat = 1800.0
    time_limit: PositiveFloat | None = None

    @field_validator("evaluate_every")
    @classmethod
    def _steps_or_share(cls, every: int | float | None) -> int | float | None:
        if every is not None and (every <= 0 or (isinstance(every, float) and every > 1)):
            raise ValueError("should be a number of steps from 1, or a share of the training above 0 and at most 1")
        return every

    @model_validator(mode="before")
    @classmethod
    def _steps_if_nothing_else_is_said(cls, given: Any) -> Any:
        if given.get("train_steps") is not None:
            return given
        said = any(given.get(kind) is not None for kind in ENDS)
        return {**given, "train_steps": None if said else cls.model_fields["train_steps"].default}

    @model_validator(mode="after")
    def _one_target(self) -> Budget:
        if len(given := [kind for kind in ENDS if getattr(self, kind) is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} cannot both end the training: give one")
        if self.keep is not None and self.evaluate_every is None:
            raise ValueError("keep needs evaluate_every, which says how often the model is looked at")
        if self.evaluate_samples is not None and self.evaluate_every is None:
            raise ValueError("evaluate_samples needs evaluate_every, which says how often the model is looked at")
        return self

    @property
    def target(self) -> Target:
        """What ends the training."""
        return next(Target(unit, amount) for kind, unit in ENDS.items() if (amount := getattr(self, kind)))

    def changed(self, own: dict[str, Any]) -> dict[str, Any]:
        """The values of this budget with ``own`` on top; one kind of training budget takes the place of another."""
        left_out = ENDS.keys() if own.keys() & ENDS.keys() else ()
        return {key: value for key, value in self.model_dump().items() if key not in left_out} | own

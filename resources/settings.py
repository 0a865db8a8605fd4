"""What `upswell.yaml` may say, checked: the start, the cutoffs and the targets.

The shipped file beside this module is the default; a file of the same form in the home overrides it key by key.
Nothing here reads the warehouse or knows how a target is computed.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from resources.durations import parse_duration, shown
from resources.policy import Override, Policy, policy_of
from resources.view_regimes import ViewCount, checked
from warehouse.contracts import YAML_LOADER

SHIPPED = Path(__file__).with_name("upswell.yaml")


class SettingsError(ValueError):
    """A settings file is wrong: names the file, the field and the remedy."""


def cutoff_age(cutoff: str) -> timedelta:
    """The age at which a cutoff falls: `pre` and `0h` are both at the anchor."""
    return timedelta(0) if cutoff == "pre" else parse_duration(cutoff)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def _horizon(value: Any) -> Any:
    return None if value == "variable" else parse_duration(value)


class MeasuredTarget(BaseModel):
    """A number observed at a horizon after the anchor."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    anchor: Literal["published_at", "first_seen_at", "any"] = "any"
    horizon: Annotated[timedelta | None, BeforeValidator(_horizon)]
    tolerance: Duration = timedelta(hours=12)
    transform: Literal["log", "none"] = "log"
    sources: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _tolerance_inside_horizon(self) -> Self:
        if self.horizon is not None and self.tolerance >= self.horizon:
            raise ValueError("tolerance must be shorter than horizon")
        return self


class ClassTarget(BaseModel):
    """1 where a measured target is at or above a percentile fitted on training rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    of: str
    percentile: float = Field(gt=0, lt=100)
    relative_to: Literal["channel"] | None = None


class CompositeTarget(BaseModel):
    """A weighted sum of measured targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights: dict[str, float] = Field(min_length=1)


Target = MeasuredTarget | ClassTarget | CompositeTarget


class Evaluation(BaseModel):
    """What is backtested unless asked otherwise; `also` names forecasters that run only where they are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    targets: tuple[str, ...] = Field(min_length=1)
    cutoffs: tuple[str, ...] = Field(min_length=1)
    origins: int = Field(gt=0)
    also: tuple[str, ...] = ()


class EncoderChoice(BaseModel):
    """Which encoder makes the vectors of a modality; written as its name alone where nothing else is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoder: str
    weights: str | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"


def _choice(value: Any) -> Any:
    return {"encoder": value} if isinstance(value, str) else value


Choice = Annotated[EncoderChoice | None, BeforeValidator(_choice)]


class Embeddings(BaseModel):
    """How content becomes vectors; a modality that is null is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: Choice
    image: Choice
    audio: Choice
    video: Choice
    refit_weeks: int = Field(gt=0)
    min_fit: int = Field(gt=1)
    fusion: Literal["concat", "sum", "max"]
    required: tuple[Literal["text", "image", "audio", "video"], ...]
    device: Literal["auto", "cpu", "cuda", "mps"]


class EmotionChoice(BaseModel):
    """Which emotion model is trained and reads the texts of a home; `transformers` needs weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Literal["tfidf", "minilm", "bert-base", "roberta-base", "transformers"]
    weights: str | None
    head: Literal["frozen", "fine_tuned"]
    epochs: int | None = Field(gt=0)
    learning_rate: float | None = Field(gt=0)
    batch_size: int = Field(gt=0)
    class_power: float = Field(ge=0, le=1)
    focal_gamma: float = Field(ge=0)
    unfreeze_epochs: int = Field(ge=0)
    max_tokens: int = Field(gt=0)
    token_noise: int = Field(ge=0)
    back_translation: tuple[str, str] | None
    abstain_below: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.model == "transformers" and self.weights is None:
            raise ValueError("model transformers needs weights: a local folder or a hub id")
        return self


class TranscriptChoice(BaseModel):
    """What writes down the speech of videos without captions; None: nothing does."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Literal["whisper"] | None
    weights: str | None
    language: str | None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.model is not None and self.weights is None:
            raise ValueError(f"model {self.model} needs weights: a local folder or a hub id")
        return self


class SummaryChoice(BaseModel):
    """What shortens a transcript, and to how many words; `t5` needs weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Literal["extractive", "t5"]
    weights: str | None
    words: int = Field(gt=0)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.model == "t5" and self.weights is None:
            raise ValueError("model t5 needs weights: a local folder or a hub id")
        return self


class Language(BaseModel):
    """Which models read what is said in and of videos."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    emotions: EmotionChoice
    transcripts: TranscriptChoice
    summaries: SummaryChoice


class Media(BaseModel):
    """What is fetched and how large it may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    fetch: tuple[Literal["thumbnail"], ...]
    max_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)
    max_attempts: int = Field(gt=0)


class Trigger(BaseModel):
    """What asks for a training run, and how often it may."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    matured_share: float = Field(gt=0)
    min_matured: int = Field(gt=0)
    error: float = Field(gt=1)
    psi: float = Field(gt=0)
    ks: float = Field(gt=0)
    mmd: float = Field(gt=0)
    cool_down: Duration
    most: int = Field(gt=0)
    window: Duration
    attempts: int = Field(gt=0)


class Training(BaseModel):
    """What is trained, with what, and when; targets and cutoffs that are None are those of the evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    targets: tuple[str, ...] | None
    cutoffs: tuple[str, ...] | None
    forecasters: tuple[str, ...] = Field(min_length=1)
    preset: str
    device: str = Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    launcher: Literal["local", "torchrun"]
    processes: int = Field(gt=0)
    trigger: Trigger


class Gate(BaseModel):
    """What a challenger has to show before it serves."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rows: int = Field(gt=0)
    false_promotion: float = Field(gt=0, lt=0.5)
    coverage: tuple[float, float]
    slice_margin: float = Field(gt=0)
    slice_rows: int = Field(gt=0)


class Tracking(BaseModel):
    """Where MLflow keeps what was trained; None is a SQLite file in the home."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    uri: str | None


Part = Literal["videos", "channels", "comments", "captions", "media"]
"""What a collector can be asked for."""
FOLLOWERS = frozenset({"youtube_api", "yt_dlp", "tiktok"})
"""Collectors that can be asked for single videos, and so look at known ones again."""
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def _cron(text: Any) -> Any:
    """A cron line as written, once each of its five fields has been read."""
    fields = str(text).split()
    if len(fields) != len(_CRON_RANGES):
        raise ValueError(f"{text!r} is no cron line; write five fields, such as '0 * * * *' for every hour (UTC)")
    for field, (low, high) in zip(fields, _CRON_RANGES, strict=True):
        _cron_values(field, low, high)
    return " ".join(fields)


def _cron_values(field: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        match = _CRON_PART.fullmatch(part)
        if not match:
            raise ValueError(
                f"{part!r} is no part of a cron line; write *, */15, 3, 1-5 or 1,4 between {low} and {high}"
            )
        first = low if match[1] is None else int(match[1])
        last = high if match[1] is None or (match[3] and not match[2]) else int(match[2] or first)
        step = int(match[3] or 1)
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{part!r} of a cron line lies outside {low} to {high}")
        values |= set(range(first, last + 1, step))
    return values


class Feed(BaseModel):
    """A CSV or JSON file behind a URL, and the adapter that reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(pattern=r"^https?://")
    adapter: str = Field(pattern=r"^\w+$")


class CollectedSource(BaseModel):
    """What one schedule collects, with which collector.

    Attributes:
        collector: youtube_api, yt_dlp, tiktok, youtube_rss or feed:NAME.
        topics: What is searched for.
        channels: Whose latest videos are listed.
        links: Videos that are looked at whatever else is due.
        parts: What is asked for besides the counts.
        cron: When (UTC).
        units: Units a day per bucket, where fewer than the collector's published limits are to be used.
        keep_back: Share of the day's units that schedules leave for `upswell collect`.
        most: Videos that one run looks at again at most.
        follow: Whether videos of the source are looked at again at the ages; None: where the collector can.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    collector: str = Field(pattern=r"^(youtube_api|yt_dlp|tiktok|youtube_rss|feed:\w+)$")
    topics: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    parts: frozenset[Part] = frozenset({"videos"})
    cron: Annotated[str, BeforeValidator(_cron)] = "0 * * * *"
    units: dict[str, int] = {}
    keep_back: float = Field(default=0.1, ge=0, lt=1)
    most: int = Field(default=1000, gt=0)
    follow: bool | None = None

    @property
    def follows(self) -> bool:
        """Whether its videos are looked at again."""
        return self.collector in FOLLOWERS if self.follow is None else self.follow

    @property
    def every(self) -> timedelta:
        """The mean time between two runs on a day on which it runs."""
        minute, hour = self.cron.split()[:2]
        return timedelta(days=1) / (len(_cron_values(minute, 0, 59)) * len(_cron_values(hour, 0, 23)))


class Collect(BaseModel):
    """What is collected live; nothing unless it is asked for here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sources: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], CollectedSource]
    feeds: dict[Annotated[str, Field(pattern=r"^\w+$")], Feed]
    robots_exempt: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _feeds_are_there(self) -> Self:
        for name, source in self.sources.items():
            kind, _, feed = source.collector.partition(":")
            if kind == "feed" and feed not in self.feeds:
                raise ValueError(
                    f"sources.{name}.collector: there is no feed {feed}; "
                    f"add collect.feeds.{feed}: {{url: https://..., adapter: ...}}"
                )
            if source.follow and source.collector not in FOLLOWERS:
                raise ValueError(
                    f"sources.{name}.follow: {source.collector} cannot be asked for single videos; leave follow out"
                )
        return self


class Alerts(BaseModel):
    """Where failed runs are told besides the log: a URL, or `secret` for the secret `alerts_webhook`; None: nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    webhook: Annotated[str, Field(pattern=r"^(https?://.+|secret)$")] | None


class Settings(BaseModel):
    """The checked content of `upswell.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    start: date
    first_origin: date
    cutoffs: tuple[str, ...] = Field(min_length=1)
    max_record_bytes: int = Field(gt=0)
    evaluation: Evaluation
    embeddings: Embeddings
    language: Language
    media: Media
    training: Training
    gate: Gate
    tracking: Tracking
    collect: Collect
    alerts: Alerts
    policies: dict[str, Override]
    view_regimes: dict[str, Annotated[tuple[ViewCount, ...], AfterValidator(checked)]]
    targets: dict[str, Target]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for cutoff in self.cutoffs:
            cutoff_age(cutoff)
        if self.first_origin.weekday() != 0 or self.first_origin < self.start:
            raise ValueError(f"first_origin {self.first_origin} must be a Monday on or after start {self.start}")
        unknown = [name for name in self.evaluation.targets if name not in self.targets]
        unknown += [cutoff for cutoff in self.evaluation.cutoffs if cutoff not in self.cutoffs]
        if unknown:
            raise ValueError(f"evaluation names {', '.join(unknown)}, which is no target or cutoff of this file")
        if lacking := [name for name in self.embeddings.required if getattr(self.embeddings, name) is None]:
            raise ValueError(
                f"embeddings.required names {', '.join(lacking)}, but embeddings.{lacking[0]} is null: "
                "name an encoder, or leave it out of embeddings.required"
            )
        unknown = [name for name in self.training.targets or () if name not in self.targets]
        unknown += [cutoff for cutoff in self.training.cutoffs or () if cutoff not in self.cutoffs]
        if unknown:
            raise ValueError(f"training names {', '.join(unknown)}, which is no target or cutoff of this file")
        for source in self.policies:
            self.policy(source)
        for name in self.targets:
            for part in self.parts(name):
                if not isinstance(self.targets.get(part), MeasuredTarget):
                    raise ValueError(f"targets.{name}: {part!r} is not a measured target of this file")
        return self

    def with_also(self, names: Iterable[str]) -> "Settings":
        """The settings with these forecasters backtested besides those that are."""
        also = tuple(dict.fromkeys((*self.evaluation.also, *names)))
        return self.model_copy(update={"evaluation": self.evaluation.model_copy(update={"also": also})})

    def parts(self, target: str) -> tuple[str, ...]:
        """The measured targets that a target is made of (itself, where it is one)."""
        definition = self.targets[target]
        if isinstance(definition, ClassTarget):
            return (definition.of,)
        if isinstance(definition, CompositeTarget):
            return tuple(definition.weights)
        return (target,)

    def outcomes(self) -> list[str]:
        """The measured targets that those of the evaluation are made of, each once."""
        return list(dict.fromkeys(part for name in self.evaluation.targets for part in self.parts(name)))

    def measured(self, target: str) -> list[MeasuredTarget]:
        """The definitions of the measured targets that a target is made of."""
        return [
            definition for part in self.parts(target) if isinstance(definition := self.targets[part], MeasuredTarget)
        ]

    def refusal(self, target: str, cutoff: str) -> str | None:
        """Why a (target, cutoff) pair cannot be forecast, or None.

        A pair whose cutoff plus tolerance reaches the horizon would let the outcome be observed before the forecast.
        """
        for definition in self.measured(target):
            if definition.horizon is None:
                continue
            if cutoff_age(cutoff) + definition.tolerance >= definition.horizon:
                return (
                    f"{target} at {cutoff}: the cutoff plus the tolerance reaches the horizon, "
                    "so the outcome may be observed before the forecast; choose an earlier cutoff"
                )
        return None

    def policy(self, source: str) -> Policy:
        """The rule of a source: how long what is kept, and whether figures may be made from it."""
        return policy_of(self.policies, source)

    def beyond_retention(self, target: str, source: str) -> str | None:
        """Why the rule of a source makes a target impossible, or None.

        At the horizon the first counts have to be there still, or nothing tells what was known at the cutoff.
        """
        kept = self.policy(source).statistics
        for definition in self.measured(target):
            if kept is None or definition.horizon is None:
                continue
            needed = definition.horizon + definition.tolerance
            if needed >= kept:
                return (
                    f"{target} of {source} needs counts for {shown(needed)} (horizon and tolerance), "
                    f"the rule keeps them for {shown(kept)}"
                )
        return None

    def history_left(self, target: str, source: str) -> str | None:
        """What the retention of a source leaves to train a target on; None where it sets no limit to it."""
        kept = self.policy(source).statistics
        needed = [part.horizon + part.tolerance for part in self.measured(target) if part.horizon is not None]
        if kept is None or not needed or max(needed) >= kept:
            return None
        return f"{target}: videos published in {shown(kept - max(needed))}"

    def applies(self, target: str, source: str, anchor: str) -> bool:
        """Whether a source has a target: the target counts from its anchor and does not name other sources only."""
        return all(
            definition.anchor in ("any", anchor) and (definition.sources is None or source in definition.sources)
            for definition in self.measured(target)
        )

    def fingerprint(self) -> str:
        """sha256 of the settings that decide what the feature tables hold."""
        decisive = self.model_dump(mode="json", include={"start", "cutoffs", "view_regimes", "targets"})
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def default_home() -> Path:
    """`UPSWELL_HOME`, or `./var`; links resolved, so that two names of one home share its locks."""
    return Path(os.environ.get("UPSWELL_HOME") or "var").expanduser().resolve()


def load_settings(home: Path) -> Settings:
    """The settings of a home: the shipped file, overridden key by key by `upswell.yaml` in the home.

    Raises:
        SettingsError: A file does not parse or a value is wrong; names file, field and remedy.
    """
    values = yaml.load(SHIPPED.read_text(), Loader=YAML_LOADER)
    own = home / "upswell.yaml"
    if own.exists():
        try:
            loaded = yaml.load(own.read_text(encoding="utf-8"), Loader=YAML_LOADER) or {}
        except (yaml.YAMLError, ValueError) as error:  # a date that there is not, or no UTF-8
            raise SettingsError(f"{own}: not YAML: {error}") from error
        except OSError as error:
            raise SettingsError(f"{own}: cannot be read ({error.strerror}); it has to be a file of settings") from error
        if not isinstance(loaded, dict):
            raise SettingsError(f"{own}: expected a mapping of settings, such as `start: 2024-01-01`")
        values = _override(values, loaded, own)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(own if own.exists() else SHIPPED, error)) from error


_SECTIONS = ("embeddings", "media", "gate", "tracking", "collect", "alerts", "policies", "view_regimes")
"""Parts of the file whose values a home's file overrides one by one; the others have rules of their own."""


def _override(shipped: dict[str, Any], loaded: dict[str, Any], path: Path) -> dict[str, Any]:
    """The shipped values with those of a home's file; mappings by their own keys, null removes a target."""
    for key in ("targets", "evaluation", *_SECTIONS, "training", "language"):
        if not isinstance(loaded.get(key) or {}, dict):
            raise SettingsError(f"{path}: {key}: expected a mapping such as in {SHIPPED.name}, got {loaded[key]!r}")
    targets = {**shipped["targets"], **(loaded.get("targets") or {})}
    evaluation = {**shipped["evaluation"], **(loaded.get("evaluation") or {})}
    if isinstance(loaded.get("cutoffs"), list) and "cutoffs" not in (loaded.get("evaluation") or {}):
        evaluation["cutoffs"] = [cutoff for cutoff in evaluation["cutoffs"] if cutoff in loaded["cutoffs"]] or loaded[
            "cutoffs"
        ]
    language = dict(loaded.get("language") or {})
    for name, choice in shipped["language"].items():
        if not isinstance(own := language.get(name) or {}, dict):
            raise SettingsError(f"{path}: language.{name}: expected a mapping such as in {SHIPPED.name}, got {own!r}")
        language[name] = {**choice, **own}
    training = {**shipped["training"], **(loaded.get("training") or {})}
    if not isinstance(trigger := training.get("trigger") or {}, dict):
        raise SettingsError(f"{path}: training.trigger: expected a mapping such as in {SHIPPED.name}, got {trigger!r}")
    training["trigger"] = {**shipped["training"]["trigger"], **trigger}
    return {
        **shipped,
        **loaded,
        "evaluation": evaluation,
        "language": language,
        "training": training,
        **{name: {**shipped[name], **(loaded.get(name) or {})} for name in _SECTIONS},
        "targets": {name: target for name, target in targets.items() if target is not None},
    }


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"] if not str(part).endswith("Target")) or "settings"
        got = f" (got {problem['input']!r})" if problem["loc"] else ""  # else it is all of the settings
        line = f"{path}: {where}: {problem['msg']}{got}"
        lines.append(line if len(line) < 400 else line[:400] + "...")
    return "\n".join(dict.fromkeys(lines))


def midnight(day: date) -> datetime:
    """The start of a day, naive UTC."""
    return datetime(day.year, day.month, day.day)

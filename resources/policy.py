"""The rules of the sources: what may be kept for how long, and whether figures may be made from it.

The shipped classes are in `policies.yaml` as their publishers state them; the operator's word overrides them by source.
What a rule leads to is done elsewhere: features and forecasts leave a source out, forgetting removes what is overdue.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from resources.durations import parse_duration, shown
from warehouse.contracts import YAML_LOADER

if TYPE_CHECKING:
    from warehouse.connection import Warehouse

SHIPPED = Path(__file__).with_name("policies.yaml")
OWN = "own"
LENGTHS = ("statistics", "text", "media", "refresh_or_delete")


def _length(value: Any) -> Any:
    return value if value is None or isinstance(value, timedelta) else parse_duration(value)


Length = Annotated[timedelta | None, BeforeValidator(_length)]


class Override(BaseModel):
    """What an operator states of a source; what is looser than the source's own rule needs the words of the permission."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    policy: str | None = None
    authorised: str | None = None
    derived_metrics: bool | None = None
    statistics: Length = None
    text: Length = None
    media: Length = None
    refresh_or_delete: Length = None

    @model_validator(mode="after")
    def _known_class(self) -> Self:
        if self.policy is not None and self.policy not in shipped_classes():
            raise ValueError(f"policy {self.policy!r} is none of {', '.join(shipped_classes())}")
        return self


@dataclass(frozen=True)
class Policy:
    """The rule of one source.

    Attributes:
        name: Its class.
        statistics: How long counts are kept from when they were known; None is no limit.
        text: The same of titles, descriptions, tags, comments, captions.
        media: The same of pictures, sounds and films.
        refresh_or_delete: A video not seen again for so long goes as a whole.
        derived_metrics: Whether figures may be made from it.
        personal: Fields that name a person.
        published: Where the rule is published.
        authorised: The operator's words of the permission, where it is looser than the class.
    """

    name: str
    statistics: timedelta | None
    text: timedelta | None
    media: timedelta | None
    refresh_or_delete: timedelta | None
    derived_metrics: bool
    personal: tuple[str, ...]
    published: str | None
    authorised: str | None = None

    @property
    def limited(self) -> bool:
        """Whether anything of the source has to go by itself."""
        return any(getattr(self, name) is not None for name in LENGTHS)

    def describe(self) -> str:
        """The rule in one line."""
        kept = [f"{name.replace('_', ' ')} {shown(getattr(self, name))}" for name in LENGTHS]
        derived = "allowed" if self.derived_metrics else "not allowed"
        stated = f"; permission: {self.authorised}" if self.authorised else ""
        return f"{self.name}: {', '.join(kept)}; derived metrics {derived}{stated}"


class PolicyError(ValueError):
    """An override is looser than the rule of the source and states no permission."""


@cache
def shipped_classes() -> dict[str, Policy]:
    """The shipped classes by name."""
    return {name: _parse(name, declared) for name, declared in _document()["classes"].items()}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(SHIPPED.read_text(encoding="utf-8"), Loader=YAML_LOADER)
    return document


def _parse(name: str, declared: Mapping[str, Any]) -> Policy:
    lengths = {length: _length(declared[length]) for length in LENGTHS}
    return Policy(
        name,
        **lengths,
        **{key: declared[key] for key in ("derived_metrics", "published")},
        personal=tuple(declared["personal"]),
    )


@cache
def _class_of_source() -> dict[str, str]:
    return dict(_document()["sources"])


def policy_of(overrides: Mapping[str, Override], source: str) -> Policy:
    """The rule of a source, with what the operator states of it.

    Raises:
        PolicyError: What is stated is looser than the source's rule, and no permission is.
    """
    own = _class_of_source().get(source, OWN)
    default = shipped_classes()[own]
    stated = overrides.get(source)
    if stated is None:
        return default
    base = shipped_classes()[stated.policy or own]
    values = {name: getattr(stated, name) for name in LENGTHS if name in stated.model_fields_set}
    if stated.derived_metrics is not None:
        values["derived_metrics"] = stated.derived_metrics
    found = Policy(**{**vars(base), **values, "authorised": stated.authorised})
    looser = [name for name in LENGTHS if _beyond(getattr(found, name), getattr(default, name))]
    looser += ["derived_metrics"] if found.derived_metrics and not default.derived_metrics else []
    if looser and not (stated.authorised or "").strip():
        raise PolicyError(
            f"policies.{source}: {', '.join(looser)} is looser than the rule of {default.name} ({default.published}); "
            'state the permission in your own words: authorised: "..."'
        )
    return found


def _beyond(length: timedelta | None, limit: timedelta | None) -> bool:
    return limit is not None and (length is None or length > limit)


def forbidden(overrides: Mapping[str, Override], sources: Iterable[str]) -> list[str]:
    """The sources that no figure may be made from."""
    return sorted(source for source in sources if not policy_of(overrides, source).derived_metrics)


def forbidden_in(warehouse: "Warehouse", overrides: Mapping[str, Override], *tables: str) -> list[str]:
    """The sources in these tables that no figure may be made from."""
    rows = warehouse.query(" UNION ".join(f"SELECT source FROM {name}" for name in tables)).to_pylist()
    return forbidden(overrides, [row["source"] for row in rows])


def derivable(overrides: Mapping[str, Override], anchors: Mapping[str, str]) -> dict[str, str]:
    """The anchors of the sources that figures may be made from."""
    return {source: anchor for source, anchor in anchors.items() if policy_of(overrides, source).derived_metrics}


def refusal(overrides: Mapping[str, Override], source: str) -> str:
    """Why no figure is made from a source, and the way out."""
    policy = policy_of(overrides, source)
    return (
        f"{source}: derived metrics are not allowed by {policy.name} ({policy.published}), so it has no features, backtests or "
        f"forecasts; where you have the permission, state it in upswell.yaml: policies: {{{source}: "
        '{authorised: "...", derived_metrics: true}}'
    )


def kept_until(policy: Policy, known_at: datetime) -> datetime | None:
    """When the first of what came to be known at a time has to go; None for never."""
    lengths = [length for name in LENGTHS if (length := getattr(policy, name)) is not None]
    return known_at + min(lengths) if lengths else None

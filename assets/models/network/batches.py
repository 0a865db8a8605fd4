"""Rows as the network sees them: standardised with what is fitted on training rows, by tower, and in which order they come.

numpy only; which rows are training rows is decided elsewhere.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.models.columns import Rows, Schema, group_of
from assets.models.preparation import Categories, ChannelPrior, TitleSpace, varies

if TYPE_CHECKING:
    from assets.models.network.titles import TitleEncoder

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Wide = np.ndarray[Any, np.dtype[np.float64]]
Positions = np.ndarray[Any, np.dtype[np.intp]]
TOWERS = ("scalars", "text", "image", "audio", "video")
CONTENT = TOWERS[1:]
FARTHEST = 6.0
"""Standard deviations beyond which an input is cut."""
_CATEGORIES = 30
_ALIKE = 50
"""Batches whose rows are sorted by length together."""


class NetworkMatrix:
    """Rows as one dense matrix: the inputs of each tower side by side, then one column per content tower that says whether it is there.

    A missing number is its training mean, that is 0; scalars that are ever missing also have a flag. A tower whose content a
    row lacks altogether is masked by the network.

    Args:
        modalities: Towers that are wanted.
        components: Coordinates of the title.
        max_terms: Terms that they are made of.
        smoothing: Of the channel prior.
        seed: Seed of everything random.
        encoder: Gives vectors of titles beside the coordinates; None gives none.

    Attributes:
        columns_: Positions of the numeric columns that vary in training and belong to a tower.
        center_: Their training means; `scale_` their standard deviations.
        flagged_: Which of them are scalars and ever missing in training.
        towers_: Columns of each tower that there is, in order.
        names_: Name of every column of the matrix.
        encoder_: The encoder of titles, or None.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        components: int,
        max_terms: int,
        smoothing: float,
        seed: int,
        encoder: "TitleEncoder | None" = None,
    ) -> None:
        self.modalities = tuple(modalities)
        self.components, self.max_terms, self.smoothing, self.seed = components, max_terms, smoothing, seed
        self.encoder_ = encoder

    def fit_transform(self, rows: Rows, schema: Schema, outcome: Wide) -> Matrix:
        """Fit on training rows; return their matrix, float32 of shape (rows, len(names_)).

        Raises:
            ValueError: No column of the wanted modalities says anything, one is infinite, or titles are to be encoded and there are none.
        """
        if self.encoder_ is not None and not schema.text:
            raise ValueError("fine_tune learns from titles, and the frame has no column title; set it to null")
        groups = [group_of(name) for name in schema.numeric]
        self.columns_ = np.flatnonzero(
            [group in self.modalities and varies(rows.numeric[:, i]) for i, group in enumerate(groups)]
        )
        self.groups_ = tuple(groups[i] for i in self.columns_)
        if infinite := [schema.numeric[i] for i in self.columns_ if np.isinf(rows.numeric[:, i]).any()]:
            raise ValueError(f"training rows are infinite in {', '.join(infinite)}; leave the rows or the columns out")
        self._fit_numeric(rows.numeric[:, self.columns_])
        scalars = "scalars" in self.modalities
        self.categories_ = _fitted_categories(rows) if scalars else {}
        self.titles_, self.prior_ = None, None
        titles = vectors = prior = np.zeros((len(rows), 0))
        if schema.text and "text" in self.modalities:
            self.titles_ = TitleSpace(self.max_terms, self.components, self.seed, "char_wb")
            titles = self.titles_.fit_transform(rows.titles)
            self.title_scale_ = max(float(titles.std()), 1e-9) if titles.size else 1.0
            if self.encoder_ is not None:
                vectors = self.encoder_.fit_transform(rows.titles)
        if schema.channel and scalars:
            self.prior_ = ChannelPrior(self.smoothing, self.seed)
            prior = self.prior_.fit_transform(rows.channels, outcome)
            self.prior_scale_ = max(float(prior.std()), 1e-9)
        self._name(schema, vectors.shape[1], titles.shape[1])
        return self._assemble(rows, vectors, titles, prior)

    def transform(self, rows: Rows) -> Matrix:
        """The matrix of further rows."""
        nothing = np.zeros((len(rows), 0))
        titles = self.titles_.transform(rows.titles) if self.titles_ else nothing
        vectors = self.encoder_.transform(rows.titles) if self.titles_ and self.encoder_ is not None else nothing
        prior = self.prior_.transform(rows.channels) if self.prior_ else nothing
        return self._assemble(rows, vectors, titles, prior)

    @property
    def vectors(self) -> slice:
        """Where in the matrix the encoder's vectors of the title are."""
        start = sum(width for name, width in self.towers_.items() if TOWERS.index(name) < TOWERS.index("text"))
        return slice(start, start + (self.encoder_.dim if self.encoder_ is not None else 0))

    def _fit_numeric(self, numeric: Wide) -> None:
        missing = np.isnan(numeric)
        count = np.maximum((~missing).sum(axis=0), 1)
        self.center_ = np.where(missing, 0, numeric).sum(axis=0) / count
        spread = np.where(missing, 0, numeric - self.center_)
        # a column that says something only by being missing has no spread of its own
        spread = np.sqrt((spread**2).sum(axis=0) / count)
        self.scale_ = np.where(spread > 1e-9, spread, 1.0)
        self.flagged_ = missing.any(axis=0) & (np.array(self.groups_, dtype=object) == "scalars")

    def _name(self, schema: Schema, vectors: int, titles: int) -> None:
        """Name the columns and count those of each tower."""
        numeric = {
            tower: [schema.numeric[i] for i, group in zip(self.columns_, self.groups_, strict=True) if group == tower]
            for tower in TOWERS
        }
        flags = [f"{schema.numeric[i]}_missing" for i in self.columns_[self.flagged_]]
        coded = [f"{name}={value}" for name, codes in self.categories_.items() for value in codes.codes_]
        numeric["scalars"] += [*flags, *coded, *(["channel_prior"] if self.prior_ else [])]
        numeric["text"][:0] = [f"title_vector_{i}" for i in range(vectors)]
        numeric["text"] += [f"title_{i}" for i in range(titles)]
        self.towers_ = {tower: len(names) for tower, names in numeric.items() if names}
        if not self.towers_:
            raise ValueError(f"no column of {', '.join(self.modalities)} says anything in the training rows")
        there = [f"{tower}_there" for tower in CONTENT if tower in self.towers_]
        self.names_ = (*(name for names in numeric.values() for name in names), *there)

    def _assemble(self, rows: Rows, vectors: Wide, titles: Wide, prior: Wide) -> Matrix:
        numeric = rows.numeric[:, self.columns_]
        missing = np.isnan(numeric)
        scaled = np.clip((np.where(missing, self.center_, numeric) - self.center_) / self.scale_, -FARTHEST, FARTHEST)
        of = np.array(self.groups_, dtype=object)
        parts: list[Any] = [scaled[:, of == "scalars"], missing[:, self.flagged_]]
        parts += [
            codes.transform(rows.categorical[name]) == np.arange(len(codes.codes_))
            for name, codes in self.categories_.items()
        ]
        if self.prior_:
            parts.append((prior - self.prior_.mean_) / self.prior_scale_)
        there = []
        for tower in CONTENT:
            parts += [vectors] if tower == "text" else []
            parts.append(scaled[:, of == tower])
            parts += [titles / self.title_scale_] if tower == "text" and titles.shape[1] else []
            if tower in self.towers_:
                there.append(self._there(tower, rows, missing[:, of == tower]))
        return np.hstack([*parts, *there], dtype=np.float32, casting="same_kind")

    def _there(self, tower: str, rows: Rows, missing: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether each row has anything of a tower's content, of shape (rows, 1)."""
        there = ~missing.all(axis=1) if missing.shape[1] else np.zeros(len(rows), dtype=bool)
        if tower == "text" and self.titles_:
            there = there | np.array([bool(title) for title in rows.titles], dtype=bool)
        return np.asarray(there.reshape(-1, 1))


def _fitted_categories(rows: Rows) -> dict[str, Categories]:
    fitted = {name: Categories(_CATEGORIES).fit(values) for name, values in rows.categorical.items()}
    return {name: categories for name, categories in fitted.items() if categories.codes_}


def development_rows(count: int, fraction: float, least: int, seed: int) -> Positions:
    """Positions of a random share of `count` rows, rising, and at least `least` of them where there are as many."""
    kept = min(count, max(least, round(count * fraction)))
    return np.sort(np.random.default_rng(seed).permutation(count)[:kept])


def steps_of_epoch(count: int, batch_size: int) -> int:
    """Steps that `count` rows make."""
    return -(-count // batch_size)


def epoch_order(count: int, batch_size: int, seed: int, epoch: int) -> list[Positions]:
    """Positions of each batch of an epoch, of nearly equal size; a function of seed and epoch, so any step can be found again."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return np.array_split(order, steps_of_epoch(count, batch_size))


def length_order(lengths: Positions, batch_size: int, seed: int, epoch: int) -> list[Positions]:
    """As `epoch_order`, of rows of like length: a random order is cut into stretches of `_ALIKE` batches, each sorted by length.

    Args:
        lengths: Of every row, such as tokens.
        batch_size: Rows of a batch.
        seed: Seed.
        epoch: Epoch.
    """
    random = epoch_order(len(lengths), batch_size, seed, epoch)
    batches: list[Positions] = []
    for start in range(0, len(random), _ALIKE):
        stretch = random[start : start + _ALIKE]
        rows = np.concatenate(stretch)
        ends = np.cumsum([len(batch) for batch in stretch])[:-1]
        batches += np.split(rows[np.argsort(lengths[rows], kind="stable")], ends)
    return [batches[at] for at in np.random.default_rng((seed, epoch, 1)).permutation(len(batches))]


class DivergedError(ValueError):
    """The loss or the gradient of a batch is not a finite number; nothing of that step is kept.

    Attributes:
        epoch: Epoch that it belongs to.
        step: Steps before it.
        positions: Training rows of the batch.
    """

    def __init__(self, epoch: int, step: int, positions: Positions) -> None:
        super().__init__(f"loss or gradient is not finite at step {step} (epoch {epoch}, {len(positions)} rows)")
        self.epoch, self.step, self.positions = epoch, step, positions

"""The commands that read words or sound by themselves: on text, files or standard input, with or without a home's data.

Parses arguments and prints; what is done is in the modules that the assets call, imported inside the commands.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orchestration.console import HomeOption, JsonOption, opened, people, print_json, print_table
from orchestration.errors import UsageError
from resources.settings import default_home, load_settings

if TYPE_CHECKING:
    from resources.speech.transcripts import Recogniser, Transcript

language_app = typer.Typer(add_completion=False)
_LONGEST_PATH = 4_096


@language_app.command()
def emotion(
    text: Annotated[
        str | None,
        typer.Argument(help="A text, a file with a text per line, or - for standard input.", metavar="TEXT|FILE|-"),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of an emotion model; else the one that serves.")] = None,
    evaluate: Annotated[
        Path | None,
        typer.Option(help="File of labelled texts (text, labels, id; tabs): how good is the model on them?"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Empty folder for the model as ONNX, which is served without torch; needs --dev."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Export the weights as int8 instead of fp32.")] = False,
    dev: Annotated[
        Path | None,
        typer.Option(help="File of labelled dev texts, on which an export has to decide as the model does."),
    ] = None,
    with_: Annotated[
        list[Path] | None, typer.Option("--with", help="Another model: export the ensemble of all, weighted by dev.")
    ] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Which emotions a text shows: probabilities, the labels that are given, Ekman's six, and sentiment."""
    from resources.emotions.model import load
    from resources.emotions.scoring import score, told

    if sum(given is not None for given in (text, evaluate, export)) != 1:
        raise UsageError("give a text, a file or -, or --evaluate FILE, or --export DIR")
    if export is not None:
        _export([_emotion_model(model, home), *(with_ or [])], export, int8, dev, json_)
        return
    if evaluate is not None:
        _evaluate(_emotion_model(model, home), evaluate, json_)
        return
    asked = _lines(str(text))
    loaded = load(_emotion_model(model, home))
    rows = told(loaded, score(loaded, asked))
    if json_:
        print_json({"model": loaded.name, "revision": loaded.revision, "texts": rows})
        return
    print_table(
        [{"text": _begin(said), **_short(row)} for said, row in zip(asked, rows, strict=True)],
        title=f"{loaded.name} {loaded.revision[:8]}",
    )


@language_app.command()
def summarize(
    text: Annotated[
        str, typer.Argument(help="A text, a file that holds one, or - for standard input.", metavar="TEXT|FILE|-")
    ],
    words: Annotated[int | None, typer.Option(help="The most words; else what upswell.yaml says.", min=1)] = None,
    model: Annotated[str | None, typer.Option(help="extractive or t5; else what upswell.yaml says.")] = None,
    weights: Annotated[str | None, typer.Option(help="Of t5: a folder, or an identifier on the hub.")] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Sum up a text in so many words: in its own sentences, or newly written by a T5."""
    from resources.summaries.base import words_of
    from resources.summaries.catalogue import make

    choice = load_settings(home or default_home()).language.summaries
    of_choice = choice.weights if model in (None, choice.model) else None
    summariser = make(model or choice.model, weights or of_choice)
    whole = _whole(text)
    summary = summariser.summarise(whole, words or choice.words)
    if json_:
        print_json(
            {
                "summary": summary,
                "state": "valid" if summary else "empty",
                "method": summariser.name,
                "revision": summariser.revision,
                "words": len(words_of(summary)),
                "of": len(words_of(whole)),
            }
        )
    else:
        sys.stdout.write(summary + "\n")


def _emotion_model(model: Path | None, home: Path | None) -> Path:
    """The folder that was named, else that of the model that serves the home."""
    from assets.language.emotion_model.registry import serving

    if model is not None:
        return model
    warehouse, _ = opened(home)
    found = serving(warehouse)
    if found is None:
        raise UsageError(
            f"no emotion model serves {warehouse.home}; train one with `upswell train emotions`, or name a folder with --model"
        )
    return found


def _export(folders: list[Path], target: Path, int8: bool, dev: Path | None, json_: bool) -> None:
    from assets.language.emotion_model.ensembles import export_together
    from assets.language.emotion_model.files import read_tsv
    from resources.emotions.model import read_manifest

    if dev is None:
        raise UsageError(
            "--export needs --dev FILE: labelled dev texts (text, labels, id; tabs) to judge the export on"
        )
    examples = read_tsv(dev, read_manifest(folders[0]).labels)
    done = export_together(folders, target, "int8" if int8 else "fp32", examples)
    told = {"folder": str(done.folder), "precision": done.precision, "megabytes": round(done.megabytes, 1)}
    told |= {**vars(done.parity), "loss": done.parity.loss}
    print_json(told) if json_ else print_table([told])


def _evaluate(folder: Path, file: Path, json_: bool) -> None:
    from assets.language.emotion_model.evaluation import evaluate_model
    from assets.language.emotion_model.files import read_tsv
    from resources.emotions.model import load
    from resources.emotions.seen import DECIDED, seen_by

    loaded = load(folder)
    examples = read_tsv(file, loaded.labels)
    logits = loaded.logits(examples.texts)
    found = evaluate_model(logits, loaded.decisions, examples, seen_by(folder, examples.texts))
    decided = seen_by(folder, examples.texts, DECIDED)
    chose = None if decided is None else int(decided.sum())
    if json_:
        print_json({"model": loaded.name, "revision": loaded.revision, "also_chose_thresholds": chose, **found.told()})
        return
    seen = "not known" if found.also_in_train is None else found.also_in_train
    print_table(
        [
            {"thresholds": "at .5", "macro-F1": found.half.macro, "micro-F1": found.half.micro} | _interval(found.half),
            {"thresholds": "fitted on dev", "macro-F1": found.fitted.macro, "micro-F1": found.fitted.micro}
            | _interval(found.fitted),
            {"thresholds": "oracle: fitted on these very texts, a bound and no result", "macro-F1": found.oracle_macro},
        ],
        title=f"{loaded.name} {loaded.revision[:8]} on {found.n} texts; also in train and left out: {seen}; "
        f"also chose its thresholds, and left in: {'not known' if chose is None else chose}; "
        f"ECE {found.calibration_error:.4f}; abstains from {found.abstained:.1%}, macro-F1 on the others {found.judged.macro:.4f}",
    )
    print_table(
        [
            {
                "label": row.label,
                "texts": row.support,
                "given": row.predicted,
                "precision": row.precision,
                "recall": row.recall,
                "F1": row.f1,
                "95 %": "" if row.bounds is None else f"{row.bounds[0]:.3f} to {row.bounds[1]:.3f}",
                "oracle F1": row.oracle_f1,
            }
            for row in found.labels
        ],
        title="By label, thresholds fitted on dev",
    )


def _lines(said: str) -> list[str]:
    """The text itself, or those of a file or of standard input: one per line; bytes that are no UTF-8 do no harm."""
    content = _content(said)
    if content is None:
        return [said]
    lines = content.decode("utf-8", "replace").split("\n")
    return lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def _content(said: str) -> bytes | None:
    """What a file or standard input holds; None where the argument is a text itself."""
    if said == "-":
        return sys.stdin.buffer.read()
    try:
        named = len(said) < _LONGEST_PATH and Path(said).is_file()
    except (OSError, ValueError):  # no system has a path like that
        named = False
    return Path(said).read_bytes() if named else None


def _whole(said: str) -> str:
    """The text itself, or that of a file or of standard input; bytes that are no UTF-8 do no harm."""
    content = _content(said)
    return said if content is None else content.decode("utf-8", "replace")


def _begin(text: str) -> str:
    from resources.emotions.texts import prepared

    ready = prepared(text)
    return escape(ready if len(ready) <= 60 else f"{ready[:59]}…")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    likeliest = {
        name: max(row[name], key=row[name].get) if name in row else None
        for name in ("ekman", "sentiment", "probabilities")
    }
    return {
        "state": row["state"],
        "emotions": ", ".join(row["emotions"]),
        "likeliest": likeliest["probabilities"],
        "confidence": row["confidence"],
        "ekman": likeliest["ekman"],
        "sentiment": likeliest["sentiment"],
    }


def _interval(found: Any) -> dict[str, str]:
    shown = {}
    for name, bounds in (("macro 95 %", found.macro_bounds), ("micro 95 %", found.micro_bounds)):
        shown[name] = "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"
    return shown


@language_app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Sound or film files; - reads one from standard input.")],
    model: Annotated[
        str | None, typer.Option(help="Whisper: a folder, or an identifier on the hub; else what upswell.yaml names.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Spoken language (ISO 639 code); else it is detected.")] = None,
    words: Annotated[bool, typer.Option("--words", help="Every word with its times.")] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Write down what is said in sound or film files; one that cannot be read does not stop the others."""
    from resources.media.states import MediaError, Reason
    from resources.speech.transcripts import transcribe as transcribed

    recogniser = _recogniser(model, home)
    rows: list[dict[str, Any]] = []
    failed = False
    for file in files:
        with _on_disk(file) as path:
            try:
                found = transcribed(path, recogniser, language)
            except MediaError as error:
                failed = failed or error.reason is not Reason.NO_SPEECH
                people.print(f"upswell: {file}: {error}", markup=False, highlight=False)
                rows.append({"file": str(file), "text": "", "reason": error.reason.value, "detail": error.detail})
                continue
        rows.append({"file": str(file), **asdict(found), "note": found.note, "reason": None, "detail": None})
        if not json_:
            _print_transcript(found, str(file) if len(files) > 1 else None, words)
    if json_:
        print_json([{name: value for name, value in row.items() if words or name != "words"} for row in rows])
    if failed:
        raise typer.Exit(2)


def _recogniser(model: str | None, home: Path | None) -> "Recogniser":
    """The Whisper that was named here, or else in the home's settings."""
    from resources.speech.whisper import Whisper

    chosen = load_settings(home or default_home()).language.transcripts
    weights = model or (chosen.weights if chosen.model == "whisper" else None)
    if weights is None:
        raise UsageError(
            "transcribe needs a Whisper model: --model DIR (a folder that save_pretrained wrote) or --model "
            "openai/whisper-tiny (from the hub), or `language: {transcripts: {model: whisper, weights: ...}}` in upswell.yaml"
        )
    return Whisper(weights)


@contextmanager
def _on_disk(file: Path) -> Iterator[Path]:
    """A file, or what standard input holds as one: a film cannot be read from a pipe."""
    if str(file) != "-":
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="upswell-") as kept:
        while block := sys.stdin.buffer.read(1 << 20):
            kept.write(block)
        kept.flush()
        yield Path(kept.name)


def _print_transcript(found: "Transcript", title: str | None, words: bool) -> None:
    if words:
        rows = [{"start": round(word.start, 2), "end": round(word.end, 2), "words": word.text} for word in found.words]
        print_table(rows, title)
    else:
        sys.stdout.write((f"{title}: " if title else "") + found.text + "\n")
    people.print(
        f"{found.language} ({found.language_confidence:.0%} sure), confidence {found.confidence:.2f}, "
        f"{found.words_per_minute:.0f} words a minute, {found.speech_seconds:.1f} of {found.seconds:.1f} s are speech"
        + (f"; {found.note}" if found.note else ""),
        markup=False,
        highlight=False,
    )

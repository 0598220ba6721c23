"""`esrp judge …`. For the judge that is taught it hands over to programs that need torch, which it does not itself."""

import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from esrp.cli import cards
from esrp.cli.exits import USAGE, fail

judge = typer.Typer(
    help="Judges: try to sway one and read its card; teach, test and serve the LoRA judge.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
judge.command("probe")(cards.probe)
judge.command("card")(cards.card)

LEARNING = ("torch", "transformers", "peft", "safetensors")
INSTALL = "pip install --no-deps -r deploy/vllm/requirements.txt, in an environment of its own (docs/judge.md)"

Ratings = Annotated[
    list[Path],
    typer.Option(exists=True, dir_okay=False, help="CSV or JSONL: run, character, scenario, metric, rater, score."),
]
Dialogues = Annotated[
    list[Path], typer.Option(exists=True, dir_okay=False, help="JSONL: run (if several), character, scenario, turns.")
]
Suite = Annotated[str, typer.Option(help="The suite of the characters: a file, esrp-zh or esrp-en.")]


@judge.command("train")
def train(
    ratings: Ratings,
    dialogues: Dialogues,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the adapter and for checkpoints.")],
    suite: Suite = "esrp-zh",
    base: Annotated[str, typer.Option(help="The model under the adapter: a folder, or its id.")] = "Qwen/Qwen3-8B",
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many.  [default: 3]")] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Highest learning rate.  [default: 0.0002]")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Prompts a step.  [default: 16]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the split and of all chance.  [default: 0]")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longer prompts are left out.  [default: 4096]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a LoRA adapter (rank 8) on human ratings; prints the adapter's folder."""
    arguments = [*_inputs(ratings, dialogues, suite), "--out", str(out), "--base", base]
    given = {"epochs": epochs, "lr": lr, "batch": batch, "seed": seed, "max-tokens": max_tokens}
    for name, value in given.items():
        arguments += [] if value is None else [f"--{name}", str(value)]
    hand_over("train", "training", arguments + (["--resume"] if resume else []))


@judge.command("evaluate")
def evaluate(
    adapter: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the adapter.")],
    ratings: Ratings,
    dialogues: Dialogues,
    suite: Suite = "esrp-zh",
    base: Annotated[str | None, typer.Option(help="Where its base model is.  [default: as it was trained]")] = None,
    panel: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="Ratings by other judges, to compare with.")
    ] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="File for all numbers, as JSON.")] = None,
) -> None:
    """Compare an adapter with the human ratings that were kept back from it, as in the paper's Table 3."""
    arguments = ["--adapter", str(adapter), *_inputs(ratings, dialogues, suite), *_each("--panel", panel or ())]
    arguments += [] if base is None else ["--base", base]
    hand_over("evaluate", "evaluation", arguments + ([] if out is None else ["--out", str(out)]))


@judge.command("serve")
def serve(
    model: Annotated[str, typer.Option(help="The base model: a folder, or its id.")],
    adapter: Annotated[list[str], typer.Option(metavar="NAME=PATH", help="An adapter, served as NAME@its-hash.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="On this machine only.  [default: 8100]")] = None,
    python: Annotated[
        str | None,
        typer.Option(help="The Python that vLLM is installed for.  [default: ESRP_VLLM_PYTHON, or this one]"),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Serve on the CPU, in float32.")] = False,
) -> None:
    """Serve adapters with vLLM until Ctrl-C, and start it again if it ends; prints the lines for esrp.yaml."""
    arguments = ["--model", model, *(part for one in adapter for part in ("--adapter", one))]
    arguments += [] if port is None else ["--port", str(port)]
    arguments += [] if python is None else ["--python", python]
    hand_over("serve", "serving", arguments + (["--cpu"] if cpu else []), needed=("aiohttp",))


def hand_over(
    word: str,
    module: str,
    arguments: list[str],
    *,
    needed: Iterable[str] = LEARNING,
    execute: Callable[[str, list[str]], None] = os.execv,
    installed: Callable[[str], object] = find_spec,
) -> None:
    """Become ``python -P -m services.judge.lora.<module>``; if its packages are not installed, say how to get them."""
    if missing := [name for name in needed if installed(name) is None]:
        fail(f"`esrp judge {word}` needs {', '.join(missing)}: {INSTALL}", USAGE)
    sys.stdout.flush()
    execute(sys.executable, [sys.executable, "-P", "-m", f"services.judge.lora.{module}", *arguments])


def _inputs(ratings: list[Path], dialogues: list[Path], suite: str) -> list[str]:
    return [*_each("--ratings", ratings), *_each("--dialogues", dialogues), "--suite", suite]


def _each(name: str, paths: Iterable[Path]) -> list[str]:
    return [part for path in paths for part in (name, str(path))]

"""What the stack is told: the settings of the services, but for those that it makes itself."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from services.kit.settings import ModelSettings, Network, Settings
from services.stack.errors import CannotStart

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
RATE_LIMIT = 6000  # requests a minute: one machine, one user
KEY = r"esrp_[A-Za-z0-9_-]{32,128}"

SIMULATOR = 'simulator: {base_url: "https://…/v1", model: "…", api_key_env: "…"}'
JUDGES = 'judges:\n  - {name: default, kind: chat, base_url: "https://…/v1", model: "…", api_key_env: "…"}'


class Given(Settings):
    """The settings as far as they are given; an empty one is for the stack to fill in."""

    database_url: str = ""
    redis_url: str = ""
    secret_key_file: Path = Path()


def load(config: Path | None) -> Given:
    """The environment and the file; ``CannotStart`` says what is wrong and where."""
    if config is not None:
        _look_at(config)
    try:
        return Given()
    except ValidationError as error:
        found = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        source = f"{config} or an ESRP_ variable" if config else "an ESRP_ variable"
        raise CannotStart(f"The configuration is not valid; see {source}:\n{found}") from error


def advice(given: Given) -> list[str]:
    """What is missing and how to set it, in lines for a person."""
    lines = [
        f"{who} has no key: the variable {model.api_key_env} is not set"
        for who, model in _models(given).items()
        if model.api_key is None and model.api_key_env and not model.key()
    ]
    missing = {"simulator": (given.simulator, SIMULATOR), "judge": (given.judges, JUDGES)}
    if absent := [name for name, (there, _) in missing.items() if not there]:
        lines.append(f"no {' and no '.join(absent)} is configured. Start with --config esrp.yaml, and put into it:")
        lines += [line for name in absent for line in missing[name][1].splitlines()]
    return lines


def _models(given: Given) -> dict[str, ModelSettings]:
    models = {"the simulator": given.simulator, "the writer": given.writer}
    named = {f"the judge {judge.name}": judge for judge in given.judges}
    return {name: model for name, model in models.items() if model is not None} | named


def _look_at(config: Path) -> None:
    """What the settings' own reader would pass over: no such file, no mapping, a name that nobody reads."""
    try:
        document: Any = yaml.safe_load(config.read_text("utf-8"))
    except OSError as error:
        raise CannotStart(f"{config} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise CannotStart(f"{config}:{line} not YAML: {getattr(error, 'problem', error)}") from error
    if document is not None and not isinstance(document, dict):
        raise CannotStart(f"{config} must hold names and values, such as `{SIMULATOR}`.")
    if unknown := sorted(str(name) for name in set(document or {}) - set(Settings.model_fields)):
        raise CannotStart(f"{config}: not known: {', '.join(unknown)}. Known: {', '.join(Settings.model_fields)}.")

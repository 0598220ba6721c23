"""A tiny bot with two characters, a memory and a protocol of its own: POST /talk {session, character, text} → {answer}.

It stands for whatever you have. No model is behind it: it listens, and comes back to what it was told first.
"""

import argparse
from dataclasses import dataclass, field

from aiohttp import web

GREETING = {
    "wren": "Come in, the lamp by the window is free. Say that again, slowly; I am listening.",
    "bastian": "Pull up a crate, friend. Show me where it is worn, and we will see.",
}
LATER = {
    "wren": "I put a slip of paper at that page",
    "bastian": "I have not screwed the lid back on that",
}


@dataclass
class Session:
    """One conversation, as the bot remembers it."""

    character: str
    heard: list[str] = field(default_factory=list)


SESSIONS = web.AppKey("sessions", dict[str, Session])


async def talk(request: web.Request) -> web.Response:
    """Answer in character; from the second message on with what was said first."""
    said = await request.json()
    if said["character"] not in GREETING:
        return web.json_response({"problem": f"nobody here is called {said['character']!r}"}, status=404)
    session = request.app[SESSIONS].setdefault(said["session"], Session(said["character"]))
    session.heard.append(said["text"])
    if len(session.heard) == 1:
        return web.json_response({"answer": GREETING[session.character]})
    answer = f"{LATER[session.character]}: “{session.heard[0]}” What has changed since you said so?"
    return web.json_response({"answer": answer})


async def sessions(request: web.Request) -> web.Response:
    """What the bot remembers."""
    return web.json_response([vars(session) for session in request.app[SESSIONS].values()])


def create_app() -> web.Application:
    """The bot, remembering nothing yet."""
    app = web.Application()
    app[SESSIONS] = {}
    app.router.add_post("/talk", talk)
    app.router.add_get("/sessions", sessions)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    web.run_app(create_app(), host="127.0.0.1", port=parser.parse_args().port)

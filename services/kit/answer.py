"""An endpoint's answer, read: its text, or why there is none in it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from services.kit.endpoint import ChatError, Endpoint, Reply, Usage, cleaned, passing

_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


def reply(endpoint: Endpoint, headers: Mapping[str, str], data: bytes, seconds: float) -> Reply:
    """The reply of a chat, streamed or not; ``ChatError`` says why there is none."""
    answer = _streamed(endpoint, data) if _is_stream(headers, data) else parsed(data)
    if answer is None:
        raise passing("not_json", _why_not_json(endpoint, headers, data))
    usage, (choice, message) = _usage(answer), _first_choice(endpoint, answer)
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    said = _content(message)
    text = without_thoughts(said)
    if not text.strip():
        raise _silence(endpoint, message, finish, usage, thought=bool(said.strip()))
    return Reply(text, finish, usage.prompt_tokens, usage.completion_tokens, seconds)


def reply_or_silence(endpoint: Endpoint, headers: Mapping[str, str], data: bytes, seconds: float) -> Reply:
    """The reply of a chat, also where it is empty: for whoever knows better than to ask the same again."""
    try:
        return reply(endpoint, headers, data, seconds)
    except ChatError as error:
        if error.code != "empty_reply" or error.billed is None:
            raise
        return Reply("", None, error.billed.prompt_tokens, error.billed.completion_tokens, seconds)


def storable(text: str) -> str:
    """``text`` as UTF-8 and Postgres can hold it: NUL and halves of surrogate pairs become U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def without_thoughts(text: str) -> str:
    """The reply without ``<think>…</think>``, also where a template ate the first mark or the end never came."""
    if "think>" not in text:
        return text
    text = _THOUGHT.sub("", text)
    if "</think>" in text:
        text = text.rpartition("</think>")[2].lstrip()
    return text.partition("<think>")[0]


def parsed(data: bytes) -> Any:
    """The JSON in ``data``, or ``None``. Bytes that are not UTF-8 are replaced; orjson is strict, json is not."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def their_words(answer: Any, data: bytes) -> str:
    """What the endpoint says is wrong, in whichever of the usual places."""
    found = answer
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    if found is None:
        text = data[:4096].decode("utf-8", "replace")
        return "" if text.lstrip()[:1] == "<" else text
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _is_stream(headers: Mapping[str, str], data: bytes) -> bool:
    return headers.get("Content-Type", "").startswith("text/event-stream") or data.startswith(b"data:")


def _streamed(endpoint: Endpoint, data: bytes) -> Any:
    """The answer whose pieces these server-sent events are, as if it had come in one; ``None`` if they hold none."""
    events = [line[5:].strip() for line in data.splitlines() if line.startswith(b"data:")]
    pieces = [parsed(event) for event in events if event != b"[DONE]"]
    message, finish, usage = dict.fromkeys(("content", "reasoning_content", "refusal"), ""), None, None
    for piece in pieces:
        match piece:
            case {"error": error} if error:
                return piece
            case {"choices": [{"delta": {} as delta} as choice, *_]}:
                finish = choice.get("finish_reason") or finish
                for name, said in message.items():
                    message[name] = said + (delta[name] if isinstance(delta.get(name), str) else "")
        usage = (piece.get("usage") if isinstance(piece, dict) else None) or usage
    if not any(isinstance(piece, dict) for piece in pieces):
        return None
    if finish is None and b"[DONE]" not in events:
        raise passing("connection_failed", f"the answer of {endpoint.shown} broke off")
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _first_choice(endpoint: Endpoint, answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    match answer:
        case {"choices": [{"message": {} as message} as choice, *_]}:
            return choice, message
        case {"error": _}:
            said = cleaned(endpoint, their_words(answer, b""))
            raise passing("bad_response", f"the endpoint answers 200 with an error: {said}")
    raise passing("bad_response", f"{endpoint.shown} answers JSON without choices; is this a chat endpoint?")


def _content(message: dict[str, Any]) -> str:
    """The text of a message, which some endpoints send in parts."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    return storable(content) if isinstance(content, str) else ""


def _usage(answer: Any) -> Usage:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return Usage(1, _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"))


def _tokens(usage: Any, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    # More than any model reads at once is a mistake of the endpoint.
    return count if isinstance(count, int) and 0 <= count <= 10_000_000 else 0


def _silence(
    endpoint: Endpoint, message: dict[str, Any], finish: str | None, usage: Usage, *, thought: bool
) -> ChatError:
    """Why there is no text."""
    if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
        return ChatError("refused", f"the model refuses: {cleaned(endpoint, refusal)}", billed=usage)
    if finish == "content_filter":
        return ChatError("content_filter", "the endpoint's content filter took the reply away", billed=usage)
    # What is cut off before its first word went into thoughts, shown or not.
    if thought or finish == "length" or message.get("reasoning_content") or message.get("reasoning"):
        spent = f"its {usage.completion_tokens} tokens" if usage.completion_tokens else "its tokens"
        hint = "raise max_tokens or turn thinking off"
        return ChatError(
            "reasoning_only", f"the model spent {spent} thinking and answered nothing: {hint}", billed=usage
        )
    what = "called a tool instead of answering" if message.get("tool_calls") else "answered with an empty text"
    return passing("empty_reply", f"the model {what}", billed=usage)


def _why_not_json(endpoint: Endpoint, headers: Mapping[str, str], data: bytes) -> str:
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    if kind == "text/event-stream":
        return f"{endpoint.shown} answers with a stream that holds no answer"
    if kind == "text/html" or data.lstrip()[:1] == b"<":
        return f"{endpoint.shown} answers with a web page, not JSON; base_url often ends in /v1"
    start = cleaned(endpoint, data[:200].decode("utf-8", "replace"))
    return f"{endpoint.shown} answers with {f'{start[:80]!r}, not JSON' if start else 'an empty body'}"

"""Requests to a server that speaks OpenAI's protocol: what it is asked, what it answers, and what went wrong.

Each request is a connection of its own. A key is taken from an environment variable, is sent to no other host than the
one that was named, and stands in no message.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bench import GenbenchError, named, said

_MOST = 2000  # bytes of an answer that says what is wrong


class Refused(GenbenchError):
    """The server answers that it does not do this. status: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """``url``: where its paths begin, ``http://127.0.0.1:8000/v1``.   key: the environment variable of its key.

    timeout: seconds without a byte. Raises GenbenchError for what is no such address, or one that holds a password.
    """

    def __init__(self, url: str, key: str, timeout: float) -> None:
        try:
            parts, _ = urlsplit(url), urlsplit(url).port
        except ValueError as error:
            raise GenbenchError(f"openai:{named(url)}: {said(error)}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise GenbenchError(f"openai:{named(url)}: write openai:http://HOST:PORT/v1#MODEL")
        if parts.username or parts.password:
            raise GenbenchError(f"openai:{parts.hostname}: no name or key in the address: set {named(key)} to the key")
        self.url, self.key, self.timeout = url.rstrip("/"), key, timeout
        near = parts.hostname in (
            "localhost",
            "127.0.0.1",
            "::1",
        )  # no proxy stands between
        self._open = urllib.request.build_opener(
            _Unforwarded, *([urllib.request.ProxyHandler({})] if near else [])
        ).open

    def get(self, path: str) -> Any:
        """The answer to a GET. Raises GenbenchError with the reason where there is none."""
        with self._asked(path, None) as answer:
            return _read(answer.read())

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The whole answer. Raises as ``get``."""
        with self._asked(path, body) as answer:
            return _read(answer.read())

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """What it sends bit by bit (server-sent events), until it says that this is all. Raises as ``get``."""
        with self._asked(path, {**body, "stream": True}) as answer:
            for line in answer:
                field, _, value = line.decode("utf-8", "replace").strip().partition(":")
                if field != "data":
                    continue
                if value.strip() == "[DONE]":
                    return
                event = _read(value)
                if "error" in event:
                    raise GenbenchError(f"openai:{named(self.url)} broke off: {_reason(value)}")
                yield event

    @property
    def _secret(self) -> str:
        """The key; "" where there is none. Raises GenbenchError for what cannot be sent, and does not show it."""
        found = os.environ.get(self.key, "").strip()
        if not (found.isascii() and found.isprintable()):
            raise GenbenchError(f"the environment variable {named(self.key)} holds what is no key")
        return found

    @contextlib.contextmanager
    def _asked(self, path: str, body: Mapping[str, Any] | None) -> Iterator[Any]:
        """The answer while it comes. What goes wrong with it becomes one message."""
        where = f"openai:{named(self.url)}"
        try:
            with self._open(self._request(path, body), timeout=self.timeout) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            with error:
                why = _reason(error.read(_MOST).decode("utf-8", "replace")).replace(self._secret or "\n", "***")
            more = f"; is its key in the environment variable {named(self.key)}?" if error.code in (401, 403) else ""
            raise Refused(f"{where} answers {error.code} to {path}: {why or error.reason}{more}", error.code) from error
        except TimeoutError as error:
            raise GenbenchError(f"{where} sent nothing for {self.timeout:g} s: raise `timeout`") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise GenbenchError(f"{where} sent nothing for {self.timeout:g} s: raise `timeout`") from error
            raise GenbenchError(f"{where} cannot be reached ({named(error.reason)}): is it running?") from error
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise GenbenchError(f"{where} broke off, or speaks another protocol: {said(error)}") from error

    def _request(self, path: str, body: Mapping[str, Any] | None) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(self.url + path, data, headers)


class _Unforwarded(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, for a key goes along with it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _read(text: str | bytes) -> dict[str, Any]:
    """Raises ValueError for what is no JSON object."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"not an object: {named(found)}")
    return found


def _reason(text: str) -> str:
    """What an answer says is wrong, in whichever of the forms that servers have for it."""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        for name in ("error", "message", "detail"):
            found = found.get(name, found) if isinstance(found, dict) else found
        text = found if isinstance(found, str) else json.dumps(found)
    return named(text.strip())

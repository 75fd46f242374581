"""A server that speaks OpenAI's protocol for completions as vLLM does, over a bigram model of which all is known."""

from __future__ import annotations

import itertools
import json
import math
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

END = ""  # what ends a text; it stands for no character
START = "<s>"


class Bigram:
    """Tokens, each a string, and the law of each behind each: ``law[token][next]``, END among them."""

    def __init__(self, tokens: list[str], seed: int = 0) -> None:
        rng, self.tokens = random.Random(seed), sorted(tokens, key=len, reverse=True)
        self.law: dict[str, dict[str, float]] = {}
        for before in [START, *tokens]:
            weights = {token: rng.random() ** 2 + 0.02 for token in [*tokens, END]}
            weights[END] = 0.1
            self.law[before] = {token: w / sum(weights.values()) for token, w in weights.items()}

    def encode(self, text: str) -> list[str]:
        """The longest that fits, from the left. Raises ValueError for a text that the tokens do not spell."""
        found = list[str]()
        while text:
            token = next((t for t in [START, *self.tokens] if text.startswith(t)), None)
            if token is None:
                raise ValueError(f"no token spells {text[:9]!r}")
            found, text = [*found, token], text[len(token) :]
        return found

    def nats(self, text: str, before: str = START) -> float:
        """-log p of a text behind a token; that it ends there is no part of it."""
        return -sum(math.log(self.law[a][b]) for a, b in itertools.pairwise([before, *self.encode(text)]))

    def draw(self, before: str, rng: random.Random, temperature: float) -> str:
        tokens, p = zip(*self.law[before].items(), strict=True)
        if temperature == 0:
            return str(tokens[p.index(max(p))])
        return str(rng.choices(tokens, [x ** (1 / temperature) for x in p])[0])


class Server(ThreadingHTTPServer):
    """``with Server(model) as server: server.target``.

    begins: how the token before every text is told, "<s>" or ""; None: there is none, and the first token has no law.
    scores: "all"; "ignored": nothing is told; "refused".   most: tokens of an answer, whatever was asked for.
    waits: seconds before the first token, and before each.   key: that it wants.   fault: what it does instead.
    seen: the requests, and the keys that came with them.   busiest: how many waited for their first token at a time.
    """

    request_queue_size = 64  # that wait to be let in: all requests of a test at once
    daemon_threads = True

    def __init__(self, model: Bigram, **how: Any) -> None:
        self.model, self.name = model, how.pop("name", "bigram")
        self.begins: str | None = how.pop("begins", START)
        self.scores, self.most = how.pop("scores", "all"), how.pop("most", 10**9)
        self.waits, self.key, self.fault = how.pop("waits", (0.0, 0.0)), how.pop("key", ""), how.pop("fault", "")
        self.facts: dict[str, Any] = how.pop("facts", {"owned_by": "vllm", "root": "/models/bigram"})
        assert not how
        self.seen, self.keys = list[dict[str, Any]](), list[str | None]()
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has what it wants may go."""

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def target(self) -> str:
        return f"{self.url}#{self.name}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        if self.path == "/stolen":
            self.server.keys.append(self.headers["Authorization"])
        if self._is_refused():
            return
        entry = {"id": self.server.name, "object": "model", "created": int(time.time()), **self.server.facts}
        self._answer(200, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_refused():
            return
        server = self.server
        server.seen.append(asked)
        with server.lock:
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        time.sleep(server.waits[0])
        with server.lock:
            server.busy -= 1
        self._complete(asked)

    def _is_refused(self) -> bool:
        server = self.server
        if self.path != "/stolen":
            server.keys.append(self.headers["Authorization"])
        if server.fault == "redirects":
            self.send_response(307)
            self.send_header("Location", "/stolen")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif server.fault == "page":
            self._send(200, b"<html>no API is here</html>")
        elif server.key and self.headers["Authorization"] != f"Bearer {server.key}":
            told = str(self.headers["Authorization"]).removeprefix("Bearer ")
            self._answer(401, {"error": {"message": f"Incorrect API key provided: {told}", "code": 401}})
        else:
            return False
        return True

    def _complete(self, asked: dict[str, Any]) -> None:
        server, model = self.server, self.server.model
        if asked["model"] != server.name:
            return self._answer(404, {"message": f"The model `{asked['model']}` does not exist.", "code": 404})
        if server.fault == "full":
            return self._answer(503, {"error": {"message": "the queue is full"}})
        if asked.get("echo") and server.scores == "refused":
            return self._answer(400, {"detail": "Only no echo is supported"})
        try:
            prompt = model.encode(asked["prompt"])
        except ValueError as error:
            return self._answer(400, {"error": {"message": str(error)}})
        if not prompt and server.fault == "nothing":  # as llama.cpp answers where a model has no first token
            asked["max_tokens"] = 0
        tokens = prompt if prompt[:1] == [START] else [START, *prompt]
        if asked.get("stream"):
            return self._stream(asked, tokens)
        made = list(self._drawn(asked, tokens))
        whole = (asked["prompt"] if asked.get("echo") else "") + "".join(made)
        choice: dict[str, Any] = {"index": 0, "text": whole, "finish_reason": "length", "logprobs": None}
        if asked.get("logprobs") and server.scores == "all":
            choice["logprobs"] = self._told(tokens, made)
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(made)}
        self._answer(200, {"object": "text_completion", "choices": [choice], "usage": usage})

    def _told(self, prompt: list[str], made: list[str]) -> dict[str, Any]:
        law = self.server.model.law
        pairs = itertools.pairwise([*prompt, *made])
        tokens, numbers = [*prompt, *made], [None, *(math.log(law[a][b]) for a, b in pairs)]
        if self.server.begins is None and prompt[0] == START and not self.server.seen[-1]["prompt"].startswith(START):
            tokens, numbers = tokens[1:], [None, *numbers[2:]]
        elif self.server.begins is not None:
            tokens[0] = self.server.begins
        halves = ["\ufffd" if token == "\xe9" else token for token in tokens]
        offsets = [0, *itertools.accumulate(map(len, halves))][:-1]
        return {"tokens": halves, "token_logprobs": numbers, "text_offset": offsets, "top_logprobs": None}

    def _drawn(self, asked: dict[str, Any], tokens: list[str]) -> Iterator[str]:
        """Tokens behind these, END too."""
        server, rng, last = self.server, random.Random(asked.get("seed", time.time_ns())), tokens[-1]
        for _ in range(min(asked.get("max_tokens", 16), server.most)):
            yield (last := server.model.draw(last, rng, asked.get("temperature", 1.0)))
            if last == END:
                return

    def _stream(self, asked: dict[str, Any], tokens: list[str]) -> None:
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        last = None
        for number, last in enumerate(self._drawn(asked, tokens)):
            time.sleep(server.waits[1] if number else 0)
            if number == 2 and server.fault == "silent":
                time.sleep(2)
            if number == 2 and server.fault == "error event":
                return self._event({"error": {"message": "out of memory"}})
            if number == 2 and server.fault == "cut off":
                self.close_connection = True
                return
            if number == 2 and server.fault == "ends early":
                return self._chunk(b"")
            if last:
                self._event({"choices": [{"index": 0, "text": last, "finish_reason": None}]})
        self._event({"choices": [{"index": 0, "text": "", "finish_reason": "stop" if last == END else "length"}]})
        self._event({"choices": [], "usage": {}})
        self._chunk(b": a remark\n\ndata: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(event)}\n\n".encode())

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

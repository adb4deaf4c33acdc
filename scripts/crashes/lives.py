"""What one caller knows of its sandbox: what it was promised, and what it waits for."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message

from cubelet.api.v1 import sandboxes_pb2 as api

RUNNING: Final = "RUNNING"
PAUSED: Final = "PAUSED"
#: Not asked for yet, or refused, or deleted: there is to be none.
NONE: Final = ""

#: Each verb: where it may be asked for, where it leads, and how often it is chosen.
_VERBS: Final = {
    "Pause": (RUNNING, PAUSED, 40),
    "Resume": (PAUSED, RUNNING, 60),
    "Commit": (RUNNING, RUNNING, 15),
    "Rollback": (RUNNING, RUNNING, 10),
    "Delete": (None, NONE, 10),
}
#: How many of the requests go over gRPC; the others use ttrpc.
_OVER_GRPC: Final = 0.3
_SNAPSHOTS: Final = frozenset({"Commit", "Rollback"})
#: A refusal that is kept under its key: the operation was begun, and cut short.
CUT_SHORT: Final = "AGENT_RESTARTED"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request with its key, and what it leads to."""

    verb: str
    request: Any
    target: str
    over_grpc: bool = False

    @property
    def reply(self) -> type[Message]:
        """The type of its reply."""
        found: type[Message] = getattr(api, f"{self.verb}Response")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What was acknowledged: a reply, or a refusal by code and text."""

    ask: Ask
    reply: Any = None
    refusal: tuple[int, str] = (0, "")


@dataclass(slots=True)
class Life:
    """One sandbox, driven by one caller. `state` is what was acknowledged last."""

    id: str
    spec: api.Spec
    state: str = NONE
    #: Sent, and not answered yet.
    pending: Ask | None = None
    answers: list[Answer] = field(default_factory=list)
    #: Of the answers, those that were checked by a repetition since.
    repeated: int = 0
    over: bool = False
    asked: int = 0
    #: The newest revision that an answer had, and how many snapshots are known to be.
    revision: int = 0
    snapshots: list[str] = field(default_factory=list)
    #: Its shim was killed, so that it may show as ended.
    may_end: bool = False

    def create(self, dice: random.Random) -> Ask:
        """The request that makes it."""
        request = api.CreateRequest(id=self.id, spec=self.spec, idempotency_key=self._key("Create"))
        return Ask("Create", request, RUNNING, over_grpc=dice.random() < _OVER_GRPC)

    def next(self, dice: random.Random) -> Ask:
        """Anything that may be asked for in its state."""
        if self.state == NONE:
            return self.create(dice)
        verbs = [verb for verb in _VERBS if self._may(verb)]
        (verb,) = dice.choices(verbs, weights=[_VERBS[verb][2] for verb in verbs])
        return self.ask(verb, dice)

    def ask(self, verb: str, dice: random.Random) -> Ask:
        """A request of this kind, with a key of its own."""
        request = getattr(api, f"{verb}Request")(id=self.id, idempotency_key=self._key(verb))
        if verb == "Commit":
            request.snapshot_id = f"{self.id}-{self.asked}"
        if verb == "Rollback":
            request.snapshot_id = dice.choice(self.snapshots)
        return Ask(verb, request, _VERBS[verb][1], over_grpc=dice.random() < _OVER_GRPC)

    def answered(self, answer: Answer) -> None:
        """Note what was acknowledged."""
        self.pending = None
        self.answers.append(answer)
        if answer.reply is None:
            return
        self.state = answer.ask.target
        self.over = answer.ask.verb == "Delete"
        if not self.over:
            self.revision = max(self.revision, answer.reply.sandbox.revision)
        if answer.ask.verb == "Commit":
            self.snapshots.append(answer.reply.snapshot.id)

    def forget(self) -> None:
        """It is to be no more, and nobody acknowledged that."""
        self.over, self.state = True, NONE
        self.lose_history()

    def lose_history(self) -> None:
        """What was told of it is lost with the store; what it is, is not."""
        self.answers.clear()
        self.snapshots.clear()
        self.repeated = self.revision = 0

    @property
    def allowed(self) -> set[str]:
        """The states that it may be in, once nothing is under way: "" for being no more."""
        return {self.state, self.pending.target} if self.pending else {self.state}

    def _may(self, verb: str) -> bool:
        if verb in _SNAPSHOTS and self.spec.runtime != "fake":
            return False
        if verb == "Rollback" and not self.snapshots:
            return False
        return _VERBS[verb][0] in {None, self.state}

    def _key(self, verb: str) -> str:
        self.asked += 1
        return f"{self.id}.{self.asked}.{verb}"

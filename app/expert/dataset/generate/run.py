"""Making a data set: plan, estimate, requests side by side, and the finished file."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from expert.dataset.generate.answers import Sieve, objects
from expert.dataset.generate.budget import Limits, Meter, Usage
from expert.dataset.generate.client import Client, Patience
from expert.dataset.generate.journal import Journal, journal_of
from expert.dataset.generate.plan import Plan
from expert.dataset.generate.prompts import SYSTEM, request
from expert.dataset.generate.providers import Reply
from expert.dataset.tasks import Needs, checker
from expert.dataset.writing import row_file
from expert.errors import ContractError, ExpertError, ResourceError, UsageError

CHARACTERS = 4
"""Of a token, on average, for estimates; limits count one byte as one token, which none exceeds."""
ROW_TOKENS = 80
"""Of a row, where no seed shows how long rows are."""
MARKUP = 64
"""Tokens that a chat template may add to a request."""
FRUITLESS = 20
"""Replies in a row without anything usable, after which it is given up."""


@dataclass(frozen=True)
class Order:
    """How much is made, and within which limits."""

    target: Path
    count: int
    limits: Limits
    parallel: int = 16
    patience: Patience = Patience()


@dataclass(frozen=True)
class Estimate:
    """What the rest of a run will need; tokens are guessed from characters."""

    kept: int
    requests: int
    sent: int
    received: int
    cost: float
    most: float
    """The most the requests could cost if every reply were as long as allowed, or the limit."""


@dataclass
class Made:
    """What came of it."""

    rows: int = 0
    requests: int = 0
    retries: int = 0
    cut: int = 0
    """Replies that did not come to their end."""
    used: Usage = Usage()
    cost: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)


Watch = Callable[[int, int, float], None]
"""Told rows kept, rows wanted, and money spent."""


def estimate(plan: Plan, order: Order, kept: int = 0) -> Estimate:
    """Return what the rows that are missing will need."""
    requests = math.ceil(max(0, order.count - kept) / plan.wanted.rows_a_request)
    text = SYSTEM + request(plan, 0)
    sent = requests * math.ceil(len(text) / CHARACTERS)
    lengths = [len(row.content) / CHARACTERS + 10 for row in plan.seeds]
    each = sum(lengths) / len(lengths) if lengths else ROW_TOKENS
    received = math.ceil(min(each * plan.wanted.rows_a_request, plan.endpoint.max_tokens))
    received *= requests
    worst = largest(plan, 0)
    most = requests * plan.price.of(worst.sent, worst.received)
    if order.limits.money is not None:
        most = min(most, order.limits.money)
    cost = plan.price.of(sent, received)
    return Estimate(kept, requests, sent, received, cost, most)


def largest(plan: Plan, number: int) -> Usage:
    """Return the most tokens that a request can use."""
    sent = len((SYSTEM + request(plan, number)).encode("utf-8", "replace")) + MARKUP
    return Usage(sent, plan.endpoint.max_tokens)


def key_of(plan: Plan) -> str:
    """Return the key from the environment.

    Raises:
        UsageError: there is none, and the endpoint is not on this machine; or it is no key.
    """
    variable = plan.endpoint.variable
    key = os.environ.get(variable, "").strip()
    if not key and not plan.endpoint.is_local:
        raise UsageError(
            f"There is no key for {plan.endpoint.address}.",
            f"The environment variable {variable} is not set.",
            "Set it; a key is never read from a file or an option.",
        )
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"What {variable} holds is no key.", "", "Set it again.")
    return key


@contextmanager
def opened(plan: Plan, order: Order) -> Iterator[Journal]:
    """Yield the journal of a run, which no other process may have open.

    Raises:
        UsageError: another process makes the same file, or the journal is another plan's.
        VerificationError: the journal is damaged.
        ResourceError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    path = journal_of(order.target)
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"{order.target} is being made by another process.", "", "Wait for it."
        ) from error
    except OSError as error:
        raise ResourceError(f"Cannot write {path}.lock.", f"{error.strerror}.", "") from error
    try:
        with Journal(path, plan.identity) as journal:
            yield journal
    finally:
        lock.release()
        Path(f"{path}.lock").unlink(missing_ok=True)


def generate(
    plan: Plan, order: Order, key: str, journal: Journal, watch: Watch = lambda *_: None
) -> Made:
    """Ask until there are enough rows, and write them.

    Raises:
        UsageError: the endpoint refuses the key or the request.
        NetworkNeededError: it cannot be reached, or keeps refusing.
        ContractError: its replies hold nothing usable.
        ResourceError: a limit ended it, or the disk is full. What was made stays in the journal.
    """
    with ExitStack() as stack:
        needs = Needs(schema=plan.schema)
        task = plan.wanted.task
        check = stack.enter_context(checker(task, needs)) if task else None
        run = Run(plan, order, journal, Sieve(plan.wanted, check), watch)
        made = asyncio.run(run.all(key))
    finish(plan, order, journal)
    return made


def finish(plan: Plan, order: Order, journal: Journal) -> int:
    """Write the rows that a journal holds, at most as many as were wanted, and remove it.

    With the schema they were made for, if there is one, so that they can be checked again.

    Raises:
        ResourceError: the file cannot be written.
    """
    rows = journal.done.ordered()[: order.count]
    with row_file(order.target) as write:
        for row in rows:
            write(row.with_extra(schema=plan.schema_text) if plan.schema_text else row)
    journal.remove()
    return len(rows)


class Run:
    """One run: workers that take request numbers until there is enough."""

    def __init__(
        self, plan: Plan, order: Order, journal: Journal, sieve: Sieve, watch: Watch
    ) -> None:
        self._plan, self._order, self._journal = plan, order, journal
        self._sieve, self._watch = sieve, watch
        self._meter = Meter(plan.price, order.limits)
        self._made = Made()
        self._under_way = 0
        self._fruitless = 0
        self._yield = 1.0
        """Share of the rows asked for that were kept, lately."""
        self._limited = False
        """Whether another request could go beyond a limit."""
        self._reply = asyncio.Event()
        """Set when a reply has come."""
        self._restore()

    def _restore(self) -> None:
        """Take up what the journal holds; replies that never came count as the most they cost."""
        done = self._journal.done
        self._sieve.remember(self._plan.seeds)
        self._sieve.remember(done.ordered())
        self._meter.spent = done.used
        for number in sorted(done.begun):
            most = largest(self._plan, number)
            self._meter.spent += most
            self._journal.end(number, [], most, Counter({"its reply never came": 1}))
        done.begun.clear()
        self._next = done.next

    async def all(self, key: str) -> Made:
        """Ask until there are enough rows."""
        import httpx2

        limits = httpx2.Limits(max_connections=self._order.parallel)
        seconds = self._plan.endpoint.seconds
        async with httpx2.AsyncClient(limits=limits, timeout=seconds) as http:
            client = Client(http, self._plan.endpoint, key, self._order.patience)
            await self._one(client)  # alone: a wrong key or model costs one request
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._order.parallel):
                        group.create_task(self._work(client))
            except ExceptionGroup as group:
                raise group.exceptions[0] from group
            self._made.retries = client.retries
        return self._summary()

    def _summary(self) -> Made:
        made, count = self._made, self._journal.done.count
        made.rows = min(count, self._order.count)
        made.used, made.cost = self._meter.spent, self._meter.cost
        made.refused = self._journal.done.refused
        if count < self._order.count:
            raise ResourceError(
                f"The limit ended it with {count} of {self._order.count} rows.",
                f"{made.used.total:,} tokens were used, {made.cost:.4f} in money; one more "
                "request could go beyond the limit.",
                "Raise --budget or --tokens and run it again to go on, or take what there is with "
                "--finish.",
            )
        return made

    async def _work(self, client: Client) -> None:
        while not self._over:
            if not await self._one(client) and not self._over:
                await self._reply.wait()

    async def _one(self, client: Client) -> bool:
        """Make one request, if there is need for one."""
        number = self._take()
        if number is None:
            return False
        self._journal.begin(number)
        self._under_way += 1
        try:
            reply = await client.ask(SYSTEM, request(self._plan, number))
        except ExpertError:  # refused before any work, so that nothing was spent
            self._journal.end(number, [], Usage(), Counter())
            raise
        finally:
            self._under_way -= 1
        kept = self._keep(number, reply)
        self._reply.set()
        self._reply = asyncio.Event()
        self._watch(self._journal.done.count, self._order.count, self._meter.cost)
        if not kept:
            longest = min(self._order.patience.most, 0.1 * 2.0 ** min(self._fruitless, 10))
            await asyncio.sleep(random.uniform(0.0, longest))
        return True

    @property
    def _over(self) -> bool:
        return self._limited or self._journal.done.count >= self._order.count

    def _take(self) -> int | None:
        """Return the number of another request; None if enough is on its way, or spent."""
        expected = self._under_way * self._plan.wanted.rows_a_request * max(self._yield, 0.05)
        missing = self._order.count - self._journal.done.count - expected
        if self._over or (missing <= 0 and self._under_way):
            return None
        number = self._next
        if not self._meter.begin(number, largest(self._plan, number)):
            self._limited = not self._under_way  # replies may leave more than was reserved
            return None
        self._next += 1
        return number

    def _keep(self, number: int, reply: Reply) -> int:
        """Put what a reply holds through the sieve and into the journal; return how much stayed."""
        self._sieve.refused.clear()
        rows = [row for fields in objects(reply.text) if (row := self._sieve(fields)) is not None]
        used = self._meter.end(number, reply.usage)
        refused = Counter(self._sieve.refused)
        if not rows and not refused:
            refused["a reply held no rows"] += 1
        self._journal.end(number, rows, used, refused)
        self._made.requests += 1
        self._made.cut += not reply.complete
        share = min(1.0, len(rows) / self._plan.wanted.rows_a_request)
        self._yield += (share - self._yield) / 8
        self._fruitless = 0 if rows else self._fruitless + 1
        if self._fruitless >= FRUITLESS + self._order.parallel:
            why = reply.error or ", ".join(refused)
            raise ContractError(
                f"The last {self._fruitless} replies held nothing usable.",
                f"{why[:1].upper()}{why[1:]}.",
                "Read what the model writes, and make the instruction plainer; what was made is "
                "kept.",
            )
        return len(rows)

"""The loop that sends requests and keeps what comes back."""

import asyncio
import logging
import random
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from judge.processor.cache import Cache, cache_key
from judge.processor.endpoint import Endpoint, Failure, Reply, endpoint_name, public_url
from judge.processor.gate import Gate, Stopping, TooLarge
from judge.processor.journal import Journal
from judge.processor.meter import Meter
from judge.processor.requestfile import Job, RequestFile
from judge.text import UserError
from judge.tokens import count_request

LONGEST_PAUSE = 60.0
# A refusal for rate says nothing against the request, so it doesn't use up an attempt, for so many seconds.
PATIENCE = 600.0
MOST_OPEN = 2000  # requests on their way or waiting for another attempt: what a run holds in memory
log = logging.getLogger("judge.parallel")


@dataclass
class Sender:
    """What the requests of one run share. `stopped` is the reason that ended it early for good, `limited`
    the one that may be lifted by running again, `signal` the one that interrupted it.
    """

    requests: RequestFile
    gate: Gate
    endpoint: Endpoint
    journal: Journal
    meter: Meter
    cache: Cache | None
    max_attempts: int
    encoding: str | None
    first_pause: float
    max_cost: float | None
    stopped: str | None = None
    limited: str | None = None
    signal: int | None = None
    cached: int = 0
    unsaved: int = 0
    trouble: UserError | None = None
    reached: bool = False  # whether the endpoint has said anything yet
    loop: asyncio.AbstractEventLoop | None = None
    open: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_OPEN))

    async def go(self) -> None:
        self._watch_signals()
        self.gate.afford = self._can_pay
        try:
            async with self.endpoint:
                await self._send_all()
        except* UserError as errors:
            raise errors.exceptions[0] from None
        except* asyncio.CancelledError:
            raise KeyboardInterrupt from None
        if self.trouble:
            kept = f"{self.unsaved} answers could not be kept and will be asked for again, all others are there"
            raise UserError(f"{self.trouble}; {kept}; make room and run the same command again")

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            async for job in self._jobs():
                if self._from_cache(job):
                    continue
                await self.open.acquire()
                try:
                    await self.gate.enter(lambda job=job: self._tokens(job))
                except Stopping:
                    break
                except TooLarge as error:
                    self.open.release()
                    self._fail(job, Failure(str(error), "give up"))
                else:
                    group.create_task(self._answer(job))

    async def _jobs(self) -> AsyncIterator[Job]:
        """The waiting requests, their tokens counted in a thread while others are sent."""
        following = None
        for chunk in self.requests.waiting():
            coming, following = following, asyncio.create_task(self._counted(chunk))
            for job in await coming if coming else []:
                yield job
        for job in await following if following else []:
            yield job

    async def _counted(self, jobs: list[Job]) -> list[Job]:
        if self.gate.tokens.limit:
            await asyncio.to_thread(lambda: [self._tokens(job) for job in jobs])
        return jobs

    def _tokens(self, job: Job) -> int:
        if job.tokens is None:
            job.tokens = count_request(job.request, self.encoding)
        return job.tokens

    async def _answer(self, job: Job) -> None:
        """Ask until there is an answer or no hope of one. The gate has been entered for the first attempt."""
        try:
            await self._attempts(job)
        except TooLarge as error:  # for a limit that the server announced meanwhile
            self._fail(job, Failure(str(error), "give up"))
        except Stopping:
            pass
        except UserError as error:  # the disk is full; what else is on its way may still find room
            self.unsaved += 1
            self.trouble = self.trouble or error
            self.gate.stop()
        finally:
            self.open.release()

    async def _attempts(self, job: Job) -> None:
        clock = self.gate.clock
        counted, waited, began = 0, 0, clock()
        while True:
            sent_at = clock()
            try:
                reply = await self.endpoint.ask(job.request)
            except Failure as failure:
                self._leave(failure, sent_at)
                patient = failure.refused and clock() - began < PATIENCE
                counted, waited = counted + (not patient), waited + 1
                if failure.then != "retry" or counted >= self.max_attempts:
                    return self._fail(job, failure)
                self._note(job, failure)
                pause = min(LONGEST_PAUSE, self.first_pause * 2 ** min(waited - 1, 10)) * random.uniform(0.5, 1)
                await self.gate.pause(max(failure.wait * random.uniform(1, 1.1), pause))
                await self.gate.enter(lambda: self._tokens(job))
            else:
                self.reached = True
                self.gate.learn(reply.headers)
                self.gate.answered()
                return self._keep(job, reply)

    def _leave(self, failure: Failure, sent_at: float) -> None:
        self.reached = self.reached or failure.reached
        self.gate.learn(failure.headers)
        if failure.refused:
            self.gate.refused(sent_at, failure.wait)
        else:
            self.gate.failed(sent_at, overloaded=failure.overloaded)

    def _keep(self, job: Job, reply: Reply) -> None:
        place = self.journal.add(job.key, (job.metadata or {}).get("id"), reply.text)
        self.requests.answered(job.number, place)
        self.meter.answered(job.request, reply.response)
        if self.cache:
            self.cache.put(self._cache_key(job), reply.text)

    def _can_pay(self) -> bool:
        """Whether another request stays within --max-cost; those on their way are paid for too."""
        if self.max_cost is None:
            return True
        if self.meter.unpriced:
            self.limited = "stopped: --max-cost cannot be kept where an answer has no usage or no known price"
            return False
        coming = (self.gate.in_flight + 1) * self.meter.mean()
        if self.max_cost > 0 and (self.meter.spent or 0.0) + coming <= self.max_cost:
            return True
        self.limited = f"stopped at --max-cost {self.max_cost:g}"
        return False

    def _from_cache(self, job: Job) -> bool:
        response = self.cache.get(self._cache_key(job)) if self.cache else None
        if response is None:
            return False
        self.requests.answered(job.number, self.journal.add(job.key, (job.metadata or {}).get("id"), response))
        self.cached += 1
        self.meter.done()
        return True

    def _cache_key(self, job: Job) -> bytes:
        return cache_key(endpoint_name(self.endpoint.url), job.request, job.twin)

    def _note(self, job: Job, failure: Failure) -> None:
        job.errors.append({"status": failure.status, "error": str(failure)})
        self.meter.say(str(failure))
        log.info("id %s, attempt %d: %s", (job.metadata or {}).get("id"), len(job.errors), failure)

    def _fail(self, job: Job, failure: Failure) -> None:
        self._note(job, failure)
        self.requests.failed(job.number, job.errors)
        self.meter.done()
        where = public_url(self.endpoint.url)
        if failure.then == "stop":
            self._stop(f"{where} refused the key or the account: {failure}")
        elif not self.reached and not failure.reached:
            self._stop(f"no answer from {where} in {len(job.errors)} attempts: {failure}")

    def interrupt(self) -> None:
        """What Ctrl-C does, for a run in another thread than the main one."""
        self.signal = signal.SIGINT
        if self.loop:
            self.loop.call_soon_threadsafe(self.gate.stop)

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        self.gate.stop()

    def _watch_signals(self) -> None:
        """The first Ctrl-C, or a scheduler's SIGTERM, lets what is in flight finish; a second ends it."""
        self.loop = loop = asyncio.get_running_loop()
        run = asyncio.current_task()

        def caught(number: int) -> None:
            self.signal = number
            self.gate.stop()
            if number == signal.SIGINT and run:
                # Python's own handler raises wherever the loop happens to be, at times where nobody hears it.
                loop.add_signal_handler(number, run.cancel)
            else:
                loop.remove_signal_handler(number)
            print("\nstopping: what is in flight may finish; once more to end at once", file=sys.stderr)

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, caught, number)
            except (ValueError, RuntimeError, NotImplementedError):  # not the main thread, or Windows
                return

"""The parent of the processes of ``fountain serve``: starts them, starts again those that die, stops them.

It has one thread, and does nothing else: whatever may fail is done by its children, which are forks of the
program it has imported. The private Redis is looked after too.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from config.processes import start_as_child
from config.redis_server import PrivateRedis, ServerNotStarted

#: How often it looks around where no signal comes.
LOOK_S = 1.0
#: One that lived shorter was of no use: the next one is started later.
SHORT_LIFE_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
#: What a child may take to be gone, beyond what it was told.
MARGIN_S = 5.0
#: What the web server ends with if it cannot start: starting it again is no use.
CANNOT_START = (3, 4)

_GRACEFUL = {signal.SIGTERM, signal.SIGHUP}
_QUICK = {signal.SIGINT, signal.SIGQUIT}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """What a child does.

    Parameters
    ----------
    name
        For the log.
    run
        Does it, until SIGTERM.
    stop_s
        The child may take so long to stop.
    once
        Whether it comes to an end by itself, and is not started again then.
    """

    name: str
    run: Callable[[], None]
    stop_s: float
    once: bool = False


class _Child:
    """A role, and the process that has it."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.pid: int | None = None
        self.status = 0
        self.start_at = 0.0
        self.is_done = False
        self._started = self._pause = 0.0

    def start(self) -> None:
        """Fork; a system that has no room for a process now is asked again."""
        parent = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._started = time.monotonic()
        try:
            self.pid = os.fork()
        except OSError as fault:
            _log.error("%s cannot be started: %s", self.role.name, fault.strerror)
            self._put_off()
            return
        if self.pid == 0:
            _become(self.role, parent)
        _log.info("%s started", self.role.name, extra={"pid": self.pid})

    def reap(self) -> bool:
        """Whether it has died since it was started, or last looked at."""
        if self.pid is None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.pid = None
        self.status = os.waitstatus_to_exitcode(status)
        self.is_done = self.role.once
        self._put_off()
        return True

    def _put_off(self) -> None:
        """Start it later, the later the more often it was of no use."""
        lived = time.monotonic() - self._started
        self._pause = (
            0.0 if lived > SHORT_LIFE_S else min(max(2 * self._pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        )
        self.start_at = time.monotonic() + self._pause

    def send(self, number: int) -> None:
        """Signal it, if it lives."""
        if self.pid is not None:
            os.kill(self.pid, number)


class Supervisor:
    """Runs the web server, and beside it whatever works for it.

    Parameters
    ----------
    web
        The web server: told to stop by SIGTERM, or quickly by SIGINT.
    others
        Gives the roles of the others; called once the web server has been started.
    redis
        The private Redis, None if there is none. It has been started.
    """

    def __init__(self, web: Role, others: Callable[[], Sequence[Role]], redis: PrivateRedis | None) -> None:
        self._web = _Child(web)
        self._make_others = others
        self._others: list[_Child] = []
        self._redis = redis
        self._redis_at = 0.0
        self._signals = {*_GRACEFUL, *_QUICK, signal.SIGCHLD}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
            self._signals.remove(signal.SIGHUP)

    def run(self) -> int:
        """Run until a signal ends it; return the exit status. No thread may exist yet."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        try:
            self._web.start()
            self._others = [_Child(role) for role in self._make_others()]
            return self._watch()
        finally:
            # On the way out after a fault: nothing is left behind.
            self._signal((self._web, *self._others), signal.SIGKILL)
            if self._redis is not None:
                self._redis.stop()

    def _watch(self) -> int:
        """Start what is not there, until told to end."""
        while True:
            for child in (self._web, *self._others):
                if child.pid is None and not child.is_done and time.monotonic() >= child.start_at:
                    child.start()
            self._look_after_redis()
            told = self._next_signal(LOOK_S)
            if told is not None:
                self._stop(quick=told in _QUICK)
                return self._status()
            for child in self._reap():
                tell = _log.info if child.is_done and child.status == 0 else _log.error
                tell("%s ended by itself", child.role.name, extra={"status": child.status})
            if self._web.pid is None and self._web.status in CANNOT_START:
                self._stop(quick=True)
                return self._status()

    def _stop(self, *, quick: bool) -> None:
        """End all: the web server first, whose requests may wait for workers, unless it is to be quick."""
        _log.info("stopping", extra={"quick": quick})
        if not quick:
            self._signal([self._web], signal.SIGTERM)
            quick = not self._wait([self._web])
        self._signal([self._web], signal.SIGINT)
        self._signal(self._others, signal.SIGTERM)
        everybody = (self._web, *self._others)
        if not self._wait(everybody):
            self._signal(everybody, signal.SIGKILL)
            self._wait(everybody)

    def _wait(self, children: Sequence[_Child]) -> bool:
        """Wait for children to end; False if that takes too long, or a further signal came."""
        deadline = time.monotonic() + MARGIN_S + max(child.role.stop_s for child in children)
        self._reap()
        while any(child.pid is not None for child in children):
            left = deadline - time.monotonic()
            if left <= 0:
                names = [child.role.name for child in children if child.pid is not None]
                _log.error("did not stop in time", extra={"who": names})
                return False
            if self._next_signal(min(left, LOOK_S)) is not None:
                return False
            self._reap()
        return True

    def _next_signal(self, seconds: float) -> int | None:
        """Wait for a signal to end by; None after a time, and when a child has ended."""
        told = signal.sigtimedwait(self._signals, seconds)
        return None if told is None or told.si_signo == signal.SIGCHLD else told.si_signo

    def _status(self) -> int:
        """Exit status of the web server, as a shell would tell it."""
        return self._web.status if self._web.status >= 0 else 128 - self._web.status

    def _reap(self) -> list[_Child]:
        return [child for child in (self._web, *self._others) if child.reap()]

    def _look_after_redis(self) -> None:
        """Start the private Redis again; jobs go on without it, a little later."""
        if self._redis is None or time.monotonic() < self._redis_at or self._redis.is_alive():
            return
        _log.error("the private Redis has ended by itself")
        try:
            self._redis.start()
        except (ServerNotStarted, OSError) as fault:  # the disk may be full
            _log.error("the private Redis cannot be started: %s", fault)
            self._redis_at = time.monotonic() + LONGEST_PAUSE_S

    @staticmethod
    def _signal(children: Iterable[_Child], number: int) -> None:
        for child in children:
            child.send(number)


def _become(role: Role, parent: int) -> NoReturn:
    """Do in a new process what its role is, and never return to what the parent does."""
    status = 1
    try:
        start_as_child(parent, signal.SIGTERM)
        role.run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        _log.critical("%s failed", role.name, exc_info=True)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)

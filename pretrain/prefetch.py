"""Batches made ahead of the loop, and numbers that leave the device without waiting for it.

A thread makes the batches of the next steps while the device works on this one, and on a GPU pins them and sends them
on a stream of its own; a batch is a function of its step, so who makes it and when changes nothing::

    thread   make 0  send 0  make 1  send 1  make 2 …            at most `depth` batches wait
    device                  [ step 0           ][ step 1 …       it never waits for the host

The losses take the way back alike: copied behind the step that they belong to, read while the next one is at work.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

from pretrain.questions import Question, Ready

T = TypeVar("T")
DEPTH = 2
"""Steps that lie ready; a second one covers a step whose batch takes longer than usual."""


def ahead(items: Iterable[T], depth: int = DEPTH) -> Generator[T]:
    """Yield the items in their order, made by a thread that is at most `depth` items ahead.

    What the thread raises is raised here, in its place. Closing the iterator ends the thread.
    """
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room, closed, end = threading.Semaphore(depth), threading.Event(), object()

    def work() -> None:
        try:
            source = iter(items)
            while room.acquire() and not closed.is_set():
                item = next(source, end)
                if item is end:
                    break
                made.put((True, item))
            made.put((False, None))
        except BaseException as error:  # the loop decides what becomes of it
            made.put((False, error))

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            more, found = made.get()
            if not more:
                if found is not None:
                    raise found
                return
            yield found
            room.release()
    finally:
        closed.set()
        room.release()
        thread.join()


def sent(steps: Iterable[list[Ready]], device: torch.device, depth: int = DEPTH) -> Generator[list[Ready]]:
    """Yield steps that are made on the host with their tensors on the device, made and sent ahead of their use."""
    if device.type != "cuda":
        yield from ahead(([_each(batch, lambda t: t.to(device)) for batch in step] for step in steps), depth)
        return
    side = torch.cuda.Stream(device)

    def send(step: list[Ready]) -> tuple[list[Ready], Any]:
        with torch.cuda.device(device), torch.cuda.stream(side):
            moved = [_each(batch, lambda tensor: tensor.pin_memory().to(device, non_blocking=True)) for batch in step]
            return moved, side.record_event()

    with contextlib.closing(ahead((send(step) for step in steps), depth)) as sending:
        for step, arrived in sending:
            here = torch.cuda.current_stream(device)
            here.wait_event(arrived)
            for batch in step:
                _each(batch, lambda tensor, here=here: _used_on(tensor, here))
            yield step


def _used_on(tensor: torch.Tensor, stream: torch.cuda.Stream) -> torch.Tensor:
    """Tell the allocator that a tensor of the side stream is read by another one."""
    tensor.record_stream(stream)
    return tensor


def _each(batch: Ready, change: Callable[[torch.Tensor], torch.Tensor]) -> Ready:
    """Return the batch with every tensor changed."""
    asked = {
        role: Question(*(None if tensor is None else change(tensor) for tensor in question))  # type: ignore[arg-type]
        for role, question in batch.questions.items()
    }
    return Ready({name: change(tensor) for name, tensor in batch.inputs.items()}, asked, batch.counts)


class Leaving:
    """Numbers on their way from the device to the host: sent at once, waited for only when they are read."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values, self._event = values, None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._event = torch.cuda.current_stream(values.device).record_event()

    def tolist(self) -> list[float]:
        """Return the numbers, after waiting for them and for nothing behind them."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.tolist()


def scattered(numbers: list[int], device: torch.device) -> torch.Tensor:
    """Return whole numbers on the device without waiting for it."""
    found = torch.tensor(numbers)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found

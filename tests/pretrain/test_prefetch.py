"""Batches made ahead are those that the loop would have made, and the thread that makes them goes when it does."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from objectives import OBJECTIVES
from objectives.feed import Feed
from pretrain.loop import Steps, supplied
from pretrain.prefetch import Leaving, ahead, scattered, sent

CPU = torch.device("cpu")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_items_come_in_their_order():
    assert list(ahead(range(100), depth=3)) == list(range(100))


def test_a_thread_makes_no_more_than_it_may():
    made: list[int] = []
    waiting = threading.Event()

    def items():
        for number in range(50):
            made.append(number)
            if number == 2:
                waiting.set()
            yield number

    with contextlib.closing(ahead(items(), depth=2)) as coming:
        assert next(coming) == 0
        assert next(coming) == 1  # the first is used: a third one may be made
        assert waiting.wait(10)
        assert len(made) <= 4
    assert len(made) <= 4


def test_what_goes_wrong_in_the_thread_goes_wrong_in_the_loop_in_its_place():
    def items():
        yield 1
        raise ValueError("no batch 2")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="no batch 2"):
        next(coming)
    assert not threads()


@pytest.mark.parametrize("taken", [1, 3])
def test_the_thread_ends_when_the_loop_does(taken):
    with pytest.raises(KeyError), contextlib.closing(ahead(iter(int, 1))) as coming:
        for _ in range(taken):
            next(coming)
        assert threads()
        raise KeyError
    assert not threads()


@pytest.mark.parametrize("objective", ["token-masking", "span-corruption", "sentence-order"])
def test_batches_made_ahead_are_those_of_the_loop(objective, corpus):
    feed = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES[objective](), 32, 0)
    cut = Steps(3, 9, lambda _: 6, 4, {"tokens": 1.0}, 1.0, 0)
    alone, made = (supplied(lambda step, rows: feed.at(step * 6 + rows), cut, Accelerator(cpu=True)) for _ in range(2))
    with contextlib.closing(sent(made, CPU)) as coming:
        for one, other in zip(alone, coming, strict=True):
            assert [batch.counts for batch in one] == [batch.counts for batch in other]
            for a, b in zip(one, other, strict=True):
                assert all(torch.equal(a.inputs[name], b.inputs[name]) for name in a.inputs | b.inputs)
                for role, question in a.questions.items():
                    same = zip(question, b.questions[role], strict=True)
                    assert all(x is y is None or torch.equal(x, y) for x, y in same)
    assert not threads()


def test_numbers_arrive_as_they_were():
    values = torch.tensor([1.5, float("nan"), -2.0], dtype=torch.float64)
    assert np.array_equal(Leaving(values).tolist(), values.tolist(), equal_nan=True)
    assert scattered([3, 0], CPU).tolist() == [3, 0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_nothing_waits_for_the_device_on_the_way(corpus):
    device = torch.device("cuda")
    feed = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES["token-masking"](), 32, 0)
    host = Accelerator(cpu=True)
    cut = Steps(0, 8, lambda _: 6, None, {"tokens": 1.0}, 1.0, 0)
    wanted = list(supplied(lambda step, rows: feed.at(step * 6 + rows), cut, host))
    made = supplied(lambda step, rows: feed.at(step * 6 + rows), cut, host)
    found = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        with contextlib.closing(sent(made, device)) as coming:
            found = [(batch.inputs["input_ids"], Leaving(batch.inputs["input_ids"].sum())) for (batch,) in coming]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (batch,), (ids, total) in zip(wanted, found, strict=True):
        assert torch.equal(ids.cpu(), batch.inputs["input_ids"])
        assert total.tolist() == batch.inputs["input_ids"].sum()

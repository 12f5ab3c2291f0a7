from __future__ import annotations

from tournament.schedule import Schedule, Step


def step(name: str, *needs: str, seconds: float = 1.0) -> Step:
    return Step(name, "kind", "module:function", {"name": name}, needs=needs, seconds=seconds)


def test_the_longest_ready_step_comes_first_and_needs_are_waited_for():
    schedule = Schedule([step("a"), step("b", seconds=5), step("c", "b", seconds=9)])
    assert schedule.take().name == "b"  # pyright: ignore[reportOptionalMemberAccess]
    assert schedule.take().name == "a"  # pyright: ignore[reportOptionalMemberAccess]
    assert schedule.take() is None
    schedule.finish("b")
    assert schedule.take().name == "c"  # pyright: ignore[reportOptionalMemberAccess]


def test_equals_keep_the_order_of_the_plan():
    schedule = Schedule([step(name) for name in "xyz"])
    assert [schedule.take().name for _ in range(3)] == ["x", "y", "z"]  # pyright: ignore[reportOptionalMemberAccess]


def test_finished_steps_are_not_handed_out():
    schedule = Schedule([step("a"), step("b", "a")], finished=["a"])
    assert schedule.take().name == "b"  # pyright: ignore[reportOptionalMemberAccess]
    assert schedule.take() is None


def test_a_failure_takes_along_all_that_needs_it_and_nothing_else():
    schedule = Schedule([step("a", seconds=9), step("b", "a"), step("c", "b"), step("d")])
    schedule.take()
    assert sorted(schedule.fail("a")) == ["b", "c"]
    assert schedule.skipped == {"b": "a", "c": "a"}
    assert [left.name for left in schedule.left] == ["d"]


def test_the_digest_tells_requests_and_functions_apart():
    one = Step("s", "k", "m:f", {"x": 1})
    assert one.digest == Step("t", "k", "m:f", {"x": 1}, seconds=3.0).digest
    assert len({one.digest, Step("s", "k", "m:g", {"x": 1}).digest, Step("s", "k", "m:f", {"x": 2}).digest}) == 3

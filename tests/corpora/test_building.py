from __future__ import annotations

import functools
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora import joining, preparing
from corpora.requests import Build
from corpora.store import PARTS, Corpus, build
from foundation import durable
from foundation.refusal import BadData, BadUsage
from tests.corpora.conftest import prose


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(prose(400)), encoding="utf-8")
    return path


def asked(text: Path, out: Path, **more: object) -> Build:
    return replace(
        Build(sources=(str(text),), out=out, vocabulary=600, held_out=0.1, shard_bytes=16000),
        **more,  # type: ignore[arg-type]
    )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def documents(folder: Path) -> list[str]:
    corpus, found = Corpus.open(folder), []
    for name in PARTS:
        for shard in range(len(corpus.meta["parts"][name]["shards"])):
            tokens = np.fromfile(folder / f"{name}-{shard:05}.tokens", corpus.meta["dtype"])
            bounds = np.fromfile(folder / f"{name}-{shard:05}.documents", "<u4").tolist()
            found += [corpus.vocabulary.decode(tokens[a : b - 1]) for a, b in itertools.pairwise(bounds)]
    return found


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(asked(text, tmp_path_factory.mktemp("whole") / "corpus"))


def command(request: Build, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "corpora", "build", *request.sources, "--out", str(request.out), "--vocabulary", "600",
        "--held-out", "0.1", "--shard-bytes", str(request.shard_bytes), *more,
    ]  # fmt: skip


def test_shards_hold_whole_documents_and_all_of_them(whole: Path) -> None:
    meta = Corpus.open(whole).meta
    assert len(meta["parts"]["train"]["shards"]) == -(-meta["bytes"] // 16000)
    assert sorted(documents(whole)) == sorted(prose(400))
    assert durable.problems(whole) == []
    assert not joining.unfinished(whole).exists()


@pytest.mark.parametrize("of", [1, 2, 3])
def test_any_number_of_parts_joined_is_the_same_corpus_file_by_file(
    whole: Path, text: Path, tmp_path: Path, of: int
) -> None:
    out = tmp_path / "corpus"
    for part in reversed(range(1, of + 1)):
        build(asked(text, out, shard=f"{part}/{of}", processes=1))
    joining.join(out)
    assert digests(out) == digests(whole)
    assert joining.join(out) == out
    assert list(tmp_path.iterdir()) == [out]


def test_parts_made_at_the_same_time_are_the_same_corpus(whole: Path, text: Path, tmp_path: Path) -> None:
    request = asked(text, tmp_path / "corpus")
    running = [subprocess.Popen(command(request, "--shard", f"{part}/3")) for part in (1, 2, 3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert subprocess.run([sys.executable, "-m", "corpora", "join", str(request.out)], check=False).returncode == 0
    assert digests(request.out) == digests(whole)


def test_a_join_names_the_shards_that_are_missing_and_who_makes_them(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(BadData, match="no shards are there"):
        joining.join(out)
    build(asked(text, out, shard="1/2"))
    with pytest.raises(BadData, match="shards are missing") as refused:
        joining.join(out)
    assert not out.exists()
    line = next(line for line in str(refused.value).splitlines() if "--shard " in line)
    given = line.strip().removeprefix("corpora ").split()
    assert subprocess.run([sys.executable, "-m", "corpora", *given], check=False).returncode == 0
    with pytest.raises(BadData) as again:
        joining.join(out)
    assert line not in str(again.value)
    build(asked(text, out))
    assert out.exists()


def test_processes_do_not_change_what_is_built(whole: Path, text: Path, tmp_path: Path) -> None:
    for processes in (1, 3):
        out = build(asked(text, tmp_path / str(processes), processes=processes))
        assert digests(out) == digests(whole)


def test_any_change_of_text_or_order_changes_the_fingerprint(whole: Path, tmp_path: Path) -> None:
    texts = prose(400)
    changed = [texts[:-1], [*texts[1:], texts[0]], [texts[0] + " More.", *texts[1:]], [texts[0].lower(), *texts[1:]]]
    found = {Corpus.open(whole).fingerprint}
    for number, some in enumerate(changed):
        path = tmp_path / f"{number}.txt"
        path.write_text("\n\n".join(some), encoding="utf-8")
        found.add(Corpus.open(build(asked(path, tmp_path / str(number)))).fingerprint)
    assert len(found) == 5


KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from tests.corpora.test_building import asked, build, digests, durable
from corpora import workers, installed

text, folder = Path(sys.argv[1]), Path(sys.argv[2])

def child(request):
    found = os.fork()
    if not found:
        sys.stderr = open(os.devnull, "w")
        build(request)
        os._exit(0)
    return found

began = time.perf_counter()
assert os.waitpid(child(asked(text, folder / "whole", processes=1)), 0)[1] == 0
took = time.perf_counter() - began
expected, draw, killed = digests(folder / "whole"), random.Random(5), 0
for number in range(20):
    request = asked(text, folder / str(number), processes=2 if number % 7 == 3 else 1)
    running = child(request)
    time.sleep(took * (number + draw.random()) / 20)
    os.kill(running, signal.SIGKILL)
    killed += os.waitpid(running, 0)[1] == signal.SIGKILL
    assert not request.out.exists() or not durable.problems(request.out)
    assert os.waitpid(child(request), 0)[1] == 0
    assert digests(request.out) == expected
    assert not list(folder.glob(f".{number}.*"))
print(killed)
"""


def test_twenty_builds_that_were_killed_end_as_one_that_was_not(text: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(text), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15


def slow(request: Build, *more: str) -> subprocess.Popen[str]:
    """A build that has made a shard and has others before it."""
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # as where tests run in no background
    process = subprocess.Popen(command(request, *more), stderr=subprocess.PIPE, text=True, preexec_fn=listening)
    made = joining.unfinished(request.out) / "shards"
    while not (made.exists() and any(made.iterdir())) and process.poll() is None:
        time.sleep(0.002)
    return process


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_build_says_that_it_can_be_continued(
    whole: Path, text: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    request = asked(text, tmp_path / "corpus")
    process = slow(request)
    process.send_signal(sent)
    told = process.communicate()[1]
    assert process.returncode == code, told
    assert "the same command continues" in told
    assert "Traceback" not in told
    assert not request.out.exists()
    assert not list(joining.unfinished(request.out).glob("encoding-*"))
    assert digests(build(request)) == digests(whole)


def children(process: int) -> list[int]:
    try:
        return [int(found) for found in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
def test_processes_that_encode_end_with_the_build_that_is_killed(text: Path, tmp_path: Path) -> None:
    process = slow(asked(text, tmp_path / "corpus", shard_bytes=800), "--processes", "2")
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(_runs, workers))


def _runs(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("blocks", "stage"), [(8, "the catalogue"), (64, "the sample"), (120, "a shard")])
def test_a_full_disk_leaves_nothing_half_made_and_is_continued(tmp_path: Path, blocks: int, stage: str) -> None:
    # the limit of a file stands for the end of the disk: the catalogue has 33 bytes for each of 400 documents
    (tmp_path / "text.txt").write_text("\n\n".join(prose(400)[:: 1 if blocks < 100 else 9]), encoding="utf-8")
    request = asked(tmp_path / "text.txt", tmp_path / "corpus", shard_bytes=1 << 26)
    words = command(request, "--weights", "1", "--words", "60000")
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f {blocks}; "$@"', "bash", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "the same command continues" in done.stderr
    assert "Traceback" not in done.stderr
    assert not request.out.exists()
    work = joining.unfinished(request.out)
    assert {path.name for path in work.iterdir() if path.is_dir()} == ({"survey", "corpus"} if blocks > 100 else set())
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    assert Corpus.open(request.out).meta["words"] == 60000


def test_an_unfinished_build_of_another_request_is_kept(text: Path, tmp_path: Path) -> None:
    request = asked(text, tmp_path / "corpus", shard="1/2")
    build(request)
    with pytest.raises(BadUsage, match="vocabulary: 600 there, 700 asked for"):
        build(replace(request, vocabulary=700))
    build(replace(request, vocabulary=700, overwrite=True))
    build(replace(request, vocabulary=700, shard="2/2"))
    assert Corpus.open(joining.join(request.out)).vocabulary.size == 700


def test_a_source_that_changes_while_it_is_read_is_noticed(text: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(text.read_bytes())
    request = asked(path, tmp_path / "corpus")
    build(replace(request, shard="1/2"))
    told = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace("day 39", "day 93"), encoding="utf-8")
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    with pytest.raises(Exception, match="changed while they were read"):
        build(replace(request, shard="2/2"))


def test_a_vocabulary_is_trained_on_the_same_sample_whatever_the_order() -> None:
    from corpora.catalogue import digest
    from corpora.sampling import Sample

    texts = [text.encode() for text in prose(200)]
    found = []
    for some in (texts, texts[::-1], [*texts[100:], *texts]):
        sample = Sample(0, 20_000)
        for text in some:
            sample.add(np.frombuffer(digest(text), "<u8").reshape(1, 2), [text])
            assert sample.size <= 20_000
        found.append(sample.texts())
    assert found[0] == found[1] == found[2]
    assert 10_000 < sum(map(len, found[0])) < 20_000


def test_the_folder_of_an_unfinished_build_is_hidden_beside_the_corpus() -> None:
    assert joining.unfinished(Path("/data/corpus")) == Path("/data/.corpus.building")
    assert preparing.SURVEY == "survey"


MEASURED = """
import sys
from pathlib import Path
from corpora import encoding, survey
from corpora.requests import Build
from corpora.store import build

survey.LIMIT = 1_000_000
encoding.Encoder.__init__.__defaults__ = (encoding.DEFAULT, 5000)
text = Path(sys.argv[1])
build(Build(sources=(str(text),), out=text.with_suffix(".corpus"), vocabulary=600, shard_bytes=1 << 20, processes=1))
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    given, peaks = prose(3000), []
    for turns in (5, 20):
        path = tmp_path / f"{turns}.txt"
        path.write_text("\n\n".join(f"Turn {turn}. {one}" for turn in range(turns) for one in given), encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    grown = (tmp_path / "20.txt").stat().st_size - (tmp_path / "5.txt").stat().st_size
    assert grown > 9_000_000
    assert peaks[1] - peaks[0] < 6_000_000

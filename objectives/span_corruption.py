"""T5 span corruption (Raffel et al. 2020, §3.1.4; counts and masks as in the released preprocessors).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <extra_id_0> me to your party <extra_id_1> week.
    answer   <extra_id_0> for inviting <extra_id_1> last

A run of hidden words becomes one sentinel, whatever its length; the answer names each sentinel and what it hides.
Of m ordinary tokens N = round(density · m) are hidden in S = round(N / mean) spans, at least one of each, and every
mask of S non-touching spans that begins kept and ends hidden is equally likely. Both sides end with ``</s>``. A span
that would cross the end of a document inside the block becomes two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import fold
from foundation.refusal import BadUsage
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.objective import Frame, Ids, Objective, Shape, answered, check_rates, ids_of, token, with_attention


@dataclass(frozen=True, kw_only=True)
class SpanCorruption(Objective):
    """Hide runs of tokens behind sentinels, ask what each sentinel hides."""

    shape: ClassVar[Shape] = "encoder-decoder"
    needs: ClassVar[tuple[str, ...]] = ("sentinels", "eos", "pad")
    frame: ClassVar[Frame] = Frame(between="eos", after="eos", start="pad")

    density: float = 0.15
    """Share of the ordinary tokens of a row that is hidden."""
    mean: float = 3.0
    """Mean length of a hidden span, in tokens."""

    def __post_init__(self) -> None:
        check_rates(self, density=self.density)
        if self.mean < 1:
            raise BadUsage(f"SpanCorruption: mean = {self.mean} is below 1", "give the mean span length in tokens")

    def counts(self, lengths: grammar.Rows) -> tuple[grammar.Rows, grammar.Rows]:
        """Return the hidden tokens and the spans of rows with so many ordinary tokens."""
        hidden = np.minimum(grammar.count(self.density, lengths), np.maximum(lengths - 1, np.minimum(lengths, 1)))
        spans = np.maximum(np.rint(hidden / self.mean).astype(np.int64), 1)
        return hidden, np.maximum(np.minimum(spans, np.minimum(hidden, lengths - hidden)), np.minimum(hidden, 1))

    def positions(self, block: int) -> int:
        """Return the length of the asked side with its ``</s>``: block − hidden + spans + 1."""
        hidden, spans = self.counts(np.array([block]))
        return block - int(hidden[0]) + int(spans[0]) + 1

    def reach(self, block: int) -> int:
        """Return block + 1: ends of documents inside a block cut spans in two, but a sentinel hides one token at least.

        The answer is bounded likewise, by two positions for each hidden token.
        """
        return max(block, 2 * int(self.counts(np.array([block]))[0][0])) + 1

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse also when the spans of a row could outnumber the sentinels."""
        super().check(vocabulary, block)
        spans = int(self.counts(np.array([block]))[1][0])
        if spans > len(vocabulary.sentinels):
            raise BadUsage(
                f"--block {block} gives {spans} spans, the vocabulary has {len(vocabulary.sentinels)} sentinels",
                "use a shorter --block, a lower --objective.density or a larger --objective.mean",
            )

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``asked </s>`` for the encoder and ``answer </s>`` as the decoder's targets."""
        ids, lengths = blocks.ids, blocks.lengths
        inside = grammar.within(lengths, ids.shape[1])
        ordinary = vocabulary.ordinary[ids] & inside
        tokens = ordinary.sum(axis=1)
        hidden, spans = self.counts(tokens)
        most = max(1, int(spans.max(initial=1)))
        compact = grammar.alternate(
            grammar.compose(fold(blocks.keys, "kept"), tokens - hidden, np.maximum(spans, 1), most),
            grammar.compose(fold(blocks.keys, "hidden"), hidden, np.maximum(spans, 1), most),
            ids.shape[1],
        )
        asked, answer = _project(ids, inside, grammar.spread(compact, ordinary), vocabulary.sentinels)
        after = ids_of(vocabulary, self.frame.after)
        inputs, framed = grammar.frame(*asked, [], after, token(vocabulary, "pad"))
        labels, _ = grammar.frame(*answer, [], after, IGNORED)
        given = answered(labels, token(vocabulary, self.frame.start or "pad"), token(vocabulary, "pad"))
        hidden = (labels != IGNORED) & vocabulary.ordinary[labels]
        inputs = with_attention({"input_ids": inputs, "decoder_input_ids": given}, framed)
        return Batch(inputs, {"tokens": labels}, hidden=hidden)

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the asked side with each sentinel replaced by what the answer says it hides."""
        asks, answers = batch.inputs["input_ids"], batch.targets["tokens"]
        marks = set(vocabulary.sentinels.tolist())
        rows = []
        for asked, length, answer in zip(asks, batch.lengths, answers, strict=True):
            said: dict[int, list[int]] = {}
            span: list[int] = []
            for word in answer[answer != IGNORED][:-1].tolist():
                if word in marks:
                    said[word] = span = []
                else:
                    span.append(word)
            kept = asked[: length - 1].tolist()
            rows.append(np.array([word for shown in kept for word in said.get(shown, [shown])], dtype=np.int64))
        return rows

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with a sentinel for each run of hit tokens, and the sentinels with what they hide."""
        everywhere = np.ones((1, len(ids)), dtype=bool)
        asked, answer = _project(ids[None], everywhere, noise[None], vocabulary.sentinels)
        return asked[0][0], answer[0][0]


def _project(
    ids: grammar.Grid, inside: grammar.Mask, noise: grammar.Mask, sentinels: np.ndarray
) -> tuple[tuple[grammar.Grid, grammar.Rows], tuple[grammar.Grid, grammar.Rows]]:
    """Collapse each hit run to its sentinel, and each kept run, likewise, to the sentinel of the run behind it."""
    begins = grammar.starts(noise)
    run = np.cumsum(begins, axis=1) - 1
    if run.size and run.max() >= len(sentinels):
        raise BadUsage(
            f"a row has {int(run.max()) + 1} spans, the vocabulary has {len(sentinels)} sentinels",
            "use a shorter --block, a lower --objective.density or a larger --objective.mean",
        )
    mark = sentinels[np.maximum(run, 0)]
    return grammar.emit((begins, mark), (inside & ~noise, ids)), grammar.emit((begins, mark), (noise, ids))

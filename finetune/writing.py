"""Full fine-tuning for answers in words: teacher forcing in training, greedy writing by transformers' ``generate``.

    encoder-decoder   reads <s> body </s>, writes <s> summary </s> (as its tokenizer frames both)
    left to right     <s> body <sep> summary </s>, the loss on "summary </s>" alone

The loss is our own cross-entropy, summed over the words of the answers and divided by their number. Writing pads a
left-to-right model's rows on the left and says where each row begins, so that a row's company changes nothing. Where
such a model learned to read in both directions, ``<s> body`` is its prefix, in training and before the first word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.backbone import budget, by_length, frame, is_causal, pad, reads_whole
from finetune.metrics import correct
from finetune.strategy import Progress
from finetune.tasks import Examples, Task
from finetune.training import Judge, search
from foundation import keys
from foundation.refusal import BadUsage
from pretrain.attention import prepared

if TYPE_CHECKING:
    from finetune.checkpoint import Checkpoint
    from finetune.full import Full

EVALUATED = 64
_PLAIN_HEAD = ("gpt2", "llama", "mistral", "qwen2", "gpt_neox")
"""Left-to-right families whose logits are nothing but the output embedding of the last state."""


@dataclass(frozen=True)
class Exercise:
    """What is read and what is to be written, as ids."""

    asked: list[list[int]]
    answers: list[list[int]]
    truncated: int


class Writer:
    """A model with its language-model head that goes from task to task."""

    def __init__(self, recipe: Full, checkpoint: Checkpoint, key: keys.Word) -> None:
        from transformers import GenerationConfig

        self.recipe, self.tokenizer = recipe, checkpoint.tokenizer()
        model: Any = checkpoint.model(key)
        config = checkpoint.config
        self.causal = not config.is_encoder_decoder
        if not model.can_generate() or (self.causal and not is_causal(model)):
            what = f"a {checkpoint.family} checkpoint ({type(model).__name__}) cannot write text"
            raise BadUsage(what, "take a checkpoint of gpt2, t5, bart or mbart, or a task with classes")
        self.plain = config.model_type in _PLAIN_HEAD
        self.whole = reads_whole(model)
        self.model: Any = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.pad_id = int(self.tokenizer.pad_token_id)
        ends = [i for i in (self.tokenizer.eos_token_id, config.eos_token_id) if isinstance(i, int)]
        self.end = ends[0] if ends else self.pad_id
        self.start = self.end
        if not self.causal:
            start = getattr(config, "decoder_start_token_id", None)
            self.start = int(start if start is not None else self.pad_id)
        separator = self.tokenizer.sep_token_id
        self.separator = int(separator if separator is not None else self.end)
        # Configurations carry ids of other vocabularies (BART's forced end); nothing of them is taken over.
        self.model.generation_config = GenerationConfig(
            max_new_tokens=recipe.answer,
            do_sample=False,
            num_beams=1,
            pad_token_id=self.pad_id,
            eos_token_id=self.end,
            bos_token_id=self.tokenizer.bos_token_id,
            decoder_start_token_id=None if self.causal else self.start,
        )
        room = budget(config, recipe.length + 1 + recipe.answer if self.causal else recipe.length)
        self.length = min(recipe.length, room - 1 - recipe.answer) if self.causal else room
        if self.length < 1:
            raise BadUsage(
                f"the model has {room} positions, too few for answers of {recipe.answer}", "lower --strategy.answer"
            )
        self.rate, self.tried, self.parameters_trained, self.truncated = 0.0, {}, 0, 0

    def exercise(self, examples: Examples) -> Exercise:
        """Return the examples as ids."""
        framed = frame(self.tokenizer, examples.texts, None, self.length)
        limit = min(self.recipe.answer, budget(self.model.config, self.recipe.answer))
        if self.causal:
            asked = [[*ids, self.separator] for ids in framed.ids]
            bare: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
            plain = self.tokenizer(examples.labels, **bare)["input_ids"]
            return Exercise(asked, [[*ids[: limit - 1], self.end] for ids in plain], framed.truncated)
        answers = frame(self.tokenizer, examples.labels, None, limit)
        return Exercise(framed.ids, answers.ids, framed.truncated)

    def add(self, task: Task, key: keys.Word, progress: Progress) -> None:
        """Learn one task, starting from the model as it is."""
        train, dev = self.exercise(task.train), self.exercise(task.dev)
        self.truncated = train.truncated + dev.truncated

        def prepare(model: nn.Module) -> tuple[Callable[[Sequence[int]], Tensor], Judge]:
            def loss(rows: Sequence[int]) -> Tensor:
                total, count = self.loss(model, train, rows)
                return total / count

            return loss, lambda: (-self.nats(model, dev), 0.0)

        def rouge(model: nn.Module) -> float:
            return float(correct("rouge-l", self.write(model, dev), task.dev.labels).mean())

        lengths = [len(asked) + len(answer) for asked, answer in zip(train.asked, train.answers, strict=True)]
        model, found = search(self.model, prepare, lengths, self.recipe, keys.fold(key, "training"), progress, rouge)
        self.model = model
        self.tried = {rate: trained.verdict[0] for rate, trained in found.items()}
        self.rate = max(found, key=lambda rate: found[rate].verdict)
        self.parameters_trained = sum(weight.numel() for weight in model.parameters())

    def loss(self, model: Any, exercise: Exercise, rows: Sequence[int]) -> tuple[Tensor, int]:
        """Return the summed cross-entropy of the answers of these rows, in nats, and the number of their tokens."""
        device = model.device
        answers = [exercise.answers[row] for row in rows]
        targets = torch.from_numpy(np.concatenate([np.array(answer) for answer in answers])).to(device)
        if self.causal:
            whole = [exercise.asked[row] + exercise.answers[row] for row in rows]
            ids, mask = (t.to(device) for t in pad(whole, self.pad_id))
            places = torch.arange(ids.shape[1], device=device)
            ends = torch.tensor([len(row) for row in whole], device=device)
            begins = ends - torch.tensor([len(answer) for answer in answers], device=device)
            # The state at a position speaks about the next one.
            speaking = (places >= begins[:, None] - 1) & (places < ends[:, None] - 1)
            given = {"input_ids": ids, "attention_mask": mask}
            if self.whole:
                given = prepared(model, "decoder", {**given, "prefix": begins - 1})
            if self.plain:
                states = model.base_model(**given, use_cache=False).last_hidden_state
                logits = model.get_output_embeddings()(states[speaking])
            else:
                logits = model(**given, use_cache=False).logits[speaking]
        else:
            ids, mask = (t.to(device) for t in pad([exercise.asked[row] for row in rows], self.pad_id))
            fed, written = (t.to(device) for t in pad([[self.start, *answer[:-1]] for answer in answers], self.pad_id))
            states = model(input_ids=ids, attention_mask=mask, decoder_input_ids=fed, use_cache=False)
            logits = states.logits[written.bool()]
        return F.cross_entropy(logits.float(), targets, reduction="sum"), len(targets)

    @torch.inference_mode()
    def nats(self, model: nn.Module, exercise: Exercise) -> float:
        """Return the mean loss per token of the answers."""
        sums = [self.loss(model, exercise, rows) for rows in by_length([len(ids) for ids in exercise.asked], EVALUATED)]
        return float(sum(float(total) for total, _ in sums)) / max(1, sum(count for _, count in sums))

    @torch.inference_mode()
    def write(self, model: Any, exercise: Exercise) -> list[str]:
        """Return the greedily written answer to each text."""
        texts = [""] * len(exercise.asked)
        for rows in by_length([len(ids) for ids in exercise.asked], EVALUATED):
            asked = pad([exercise.asked[row] for row in rows], self.pad_id, left=self.causal)
            ids, mask = (t.to(model.device) for t in asked)
            known = {"past_key_values": read(model, ids[:, :-1], mask[:, :-1])} if self.whole else {}
            written = model.generate(input_ids=ids, attention_mask=mask, **known)
            answers = written[:, ids.shape[1] :] if self.causal else written
            for row, text in zip(rows, self.tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True):
                texts[row] = " ".join(text.split())
        return texts

    def predict(self, task: Task, examples: Examples) -> list[str]:
        """Return the written answer to each example."""
        exercise = self.exercise(examples)
        self.truncated += exercise.truncated
        return self.write(self.model, exercise)


def read(model: Any, ids: Tensor, mask: Tensor) -> Any:
    """Return the cache of a language model that has read these rows, padded on the left, in both directions."""
    inputs = {"input_ids": ids, "attention_mask": mask, "prefix": torch.full_like(ids[:, 0], ids.shape[1])}
    places = (mask.cumsum(1) - 1).clamp(min=0)
    return model.base_model(**prepared(model, "decoder", inputs), position_ids=places, use_cache=True).past_key_values

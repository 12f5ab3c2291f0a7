"""The tokenizer of a checkpoint: the corpus's vocabulary with the objective's frame around every text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpora.vocabulary import Vocabulary
from objectives import Frame


def tokenizer(folder: Path, vocabulary: Vocabulary, frame: Frame, positions: int | None, types: bool) -> Any:
    """Return the tokenizer in `folder` with a post-processor that frames texts and pairs as `frame` says.

    `positions` is the longest framed text of the model (None: no limit); `types` whether the second text of a pair
    is marked by token_type_ids.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    framed = AutoTokenizer.from_pretrained(str(folder))
    names = {
        role: vocabulary.pieces[getattr(vocabulary, role)]
        for role in (frame.before, frame.between, frame.after)
        if role
    }
    before, between, after = (names.get(role) if role else None for role in (frame.before, frame.between, frame.after))
    first, second = [*([before] if before else []), "$A"], ["$B:1", *([f"{after}:1"] if after else [])]
    framed.backend_tokenizer.post_processor = TemplateProcessing(
        single=" ".join([*first, *([after] if after else [])]),
        pair=" ".join([*first, *([between] if between else []), *second]),
        special_tokens=[(name, framed.convert_tokens_to_ids(name)) for name in names.values()],
    )
    framed.model_max_length = positions or int(1e30)
    framed.model_input_names = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    framed.padding_side = "right"
    return framed

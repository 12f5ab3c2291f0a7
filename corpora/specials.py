"""The special tokens that every vocabulary of ours begins with, and the names that known tokenizers give to theirs."""

from __future__ import annotations

SENTINELS = 256
SPECIALS: tuple[str, ...] = (
    "<pad>",
    "<unk>",
    "<s>",
    "</s>",
    "<mask>",
    "<sep>",
    "<cls>",
    "<fim_prefix>",
    "<fim_suffix>",
    "<fim_middle>",
    "<nlu>",
    "<nlg>",
    "<s2s>",
    *(f"<extra_id_{number}>" for number in range(SENTINELS)),
)
FIRST = len(SPECIALS)

# Names that known tokenizers give to each role, ours first, tried when their configuration does not say it.
ROLES: dict[str, tuple[str, ...]] = {
    "pad": ("<pad>", "[PAD]"),
    "unk": ("<unk>", "[UNK]"),
    "bos": ("<s>", "[BOS]", "<|endoftext|>"),
    "eos": ("</s>", "[EOS]", "<|endoftext|>"),
    "mask": ("<mask>", "[MASK]"),
    "sep": ("<sep>", "[SEP]"),
    "cls": ("<cls>", "[CLS]"),
}
# Roles that configurations do not know, by the names that known tokenizers give to them.
MARKS: dict[str, tuple[str, ...]] = {
    "fim_prefix": ("<fim_prefix>", "<|fim_prefix|>", "<fim-prefix>"),
    "fim_suffix": ("<fim_suffix>", "<|fim_suffix|>", "<fim-suffix>"),
    "fim_middle": ("<fim_middle>", "<|fim_middle|>", "<fim-middle>"),
    "nlu": ("<nlu>", "[NLU]"),
    "nlg": ("<nlg>", "[NLG]"),
    "s2s": ("<s2s>", "[S2S]"),
}

"""Tiny real checkpoints and toy tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune.tasks import Examples, Task

FAMILIES = ("bert", "modernbert", "gpt2", "t5", "bart", "mbart")
WRITERS = ("gpt2", "t5", "bart", "mbart")
WORDS = "the a cat dog bird fish sees hears finds likes red blue old young big small near far house tree river hill"
FRAMES = {
    "bert": ("<cls>:0 $A:0 <sep>:0", "<cls>:0 $A:0 <sep>:0 $B:1 <sep>:1"),
    "modernbert": ("<cls> $A <sep>", "<cls> $A <sep> $B <sep>"),
    "gpt2": ("<s> $A", "<s> $A </s> $B"),
    "t5": ("$A </s>", "$A </s> $B </s>"),
    "bart": ("<s> $A </s>", "<s> $A </s> $B </s>"),
    "mbart": ("<s> $A </s>", "<s> $A </s> $B </s>"),
}


def tokenizer(family: str, texts: list[str], size: int = 600) -> Any:
    """A tokenizer trained as a corpus trains it, that frames texts as pretraining of this family does."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    from corpora.vocabulary import train

    bare = train(iter(texts), size)
    specials = [(name, bare.token_to_id(name)) for name in ("<s>", "</s>", "<cls>", "<sep>")]
    single, pair = FRAMES[family]
    bare.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=specials)
    roles = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    roles |= {name: f"<{name}>" for name in ("mask", "sep", "cls")}
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if family == "bert" else ["input_ids", "attention_mask"]
    words = {f"{role}_token": name for role, name in roles.items()}
    return PreTrainedTokenizerFast(tokenizer_object=bare, model_input_names=inputs, **words)


def config(family: str, size: int, *, layers: int = 2, width: int = 32, positions: int = 128) -> Any:
    import transformers

    t: Any = transformers

    ids: dict[str, Any] = {"vocab_size": size, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    both: dict[str, Any] = {"encoder_layers": layers // 2, "decoder_layers": layers // 2, "d_model": width}
    both |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": positions}
    both |= {"encoder_ffn_dim": 2 * width, "decoder_ffn_dim": 2 * width, "dropout": 0.0, "forced_eos_token_id": None}
    one: dict[str, Any] = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
    one |= {"intermediate_size": 2 * width, "max_position_embeddings": positions}
    made = {
        "bert": lambda: t.BertConfig(**ids, **one, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        "modernbert": lambda: t.ModernBertConfig(**ids, **one, cls_token_id=6, sep_token_id=5, local_attention=16),
        "gpt2": lambda: t.GPT2Config(
            **ids, n_embd=width, n_layer=layers, n_head=2, n_positions=positions, resid_pdrop=0, embd_pdrop=0,
            attn_pdrop=0,
        ),
        "t5": lambda: t.T5Config(
            **ids, d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=layers // 2, num_heads=2, dropout_rate=0,
            num_decoder_layers=layers // 2, decoder_start_token_id=0,
        ),
        "bart": lambda: t.BartConfig(**ids, **both, decoder_start_token_id=3),
        "mbart": lambda: t.MBartConfig(**ids, **both, decoder_start_token_id=3),
    }[family]()  # fmt: skip
    kinds = {"bert": "BertForPreTraining", "modernbert": "ModernBertForMaskedLM", "gpt2": "GPT2LMHeadModel"}
    kinds |= {"t5": "T5ForConditionalGeneration", "bart": "BartForConditionalGeneration"}
    made.architectures = [kinds.get(family, "MBartForConditionalGeneration")]
    made.objective = {"name": "a-test", "rate": 0.15}
    return made


def save(folder: Path, family: str, texts: list[str] | None = None, size: int = 600, **numbers: int) -> Path:
    """Write an untrained checkpoint of a family as save_pretrained writes it."""
    from pretrain.models import fresh

    made = tokenizer(family, texts or [WORDS] * 4, size)
    made.save_pretrained(folder)
    fresh(config(family, len(made), **numbers), 7).save_pretrained(folder)
    return folder


def toy(kind: str = "classification", train: int = 96, others: int = 48, seed: int = 0) -> Task:
    """A task of a few words each: is there a cat or a dog (classes), the same animal twice (pair), copy two words."""
    import random

    draw = random.Random(seed)
    fillers = WORDS.split()[6:]

    def part(count: int) -> Examples:
        texts, pairs, labels = [], [], []
        for place in range(count):
            label = ("cat", "dog")[place % 2]
            text = [draw.choice(fillers) for _ in range(draw.randint(3, 9))]
            text.insert(draw.randint(0, len(text)), label)
            texts.append(" ".join(text))
            pairs.append(" ".join(draw.choice(fillers) for _ in range(draw.randint(2, 6))))
            labels.append({"sequence": f"the {label}", "pair": ("yes", "no")[place % 2]}.get(kind, label))
        return Examples(texts, pairs if kind == "pair" else None, labels)

    parts = {"train": part(train), "dev": part(others), "test": part(others)}
    classes = () if kind == "sequence" else tuple(sorted(set(parts["train"].labels)))
    return Task("toy", kind, parts["train"], parts["dev"], parts["test"], classes)

from __future__ import annotations

from objectives.__main__ import main

BOX = [
    "show",
    "--text",
    "Thank you for inviting me to your party last week.",
    "--hide",
    "for inviting",
    "--hide",
    "last",
]


def run(argv: list[str]) -> int:
    return main(argv)


def test_the_lecture_s_sentence_is_asked_exactly_so(capsys):
    assert run(BOX) == 0
    shown = capsys.readouterr().out
    blocks = {part.splitlines()[0]: part.splitlines()[1:] for part in shown.split("\n\n")[1:]}
    masked = ["  asked   Thank you <mask> <mask> me to your party <mask> week.", "  answer  for inviting last"]
    assert blocks["token-masking"] == masked
    assert blocks["sentence-order"] == masked
    assert blocks["span-corruption"] == [
        "  asked   Thank you <extra_id_0> me to your party <extra_id_1> week.",
        "  answer  <extra_id_0> for inviting <extra_id_1> last",
    ]
    assert blocks["text-infilling"] == [
        "  asked   Thank you <mask> me to your party <mask> week.",
        "  answer  Thank you for inviting me to your party last week.",
    ]
    assert blocks["next-token"][0] == "  asked   Thank you for inviting me to your party last"


def test_without_words_to_hide_each_objective_draws_its_own_noise(capsys):
    assert run(["show", "--text", "One is here. Two is there. Three is far away. Four is near."]) == 0
    assert "<mask>" in capsys.readouterr().out


def test_words_that_are_not_there_are_refused(capsys):
    assert run(["show", "--hide", "nowhere"]) == 2
    assert "'nowhere' is not in the text" in capsys.readouterr().err


def test_an_unknown_objective_is_refused_with_the_nearest(capsys):
    assert run(["show", "--name", "span-coruption"]) == 2
    assert "did you mean span-corruption?" in capsys.readouterr().err

from __future__ import annotations

import textwrap

import pytest

from corpora.docstrings import blocks
from corpora.prose import clean, fold, paragraphs


def read(docstring: str) -> list[str]:
    return paragraphs(textwrap.dedent(docstring).strip())[0]


def test_paragraphs_of_plain_prose_stay_as_they_are() -> None:
    docstring = """
        Compute the mean of the values that were given.

        The values are read once, from the first to the last,
        and are never kept in memory at the same time.
    """
    assert read(docstring) == [
        "Compute the mean of the values that were given.",
        "The values are read once, from the first to the last, and are never kept in memory at the same time.",
    ]


def test_code_is_dropped_however_it_is_marked() -> None:
    docstring = """
        Compute the mean of the values that were given. For example::

            the mean of some values is what this line would say

        >>> mean([1, 2])
        this line is what the doctest prints for you

        ```python
        the words in this fence are not prose either
        ```
        Nothing else of it may be seen by a reader.

        .. code-block:: python

            and neither are the words below this directive
    """
    assert read(docstring) == [
        "Compute the mean of the values that were given.",
        "Nothing else of it may be seen by a reader.",
    ]


def test_numpydoc_entries_lose_their_headers_and_dropped_sections_all() -> None:
    docstring = """
        Compute the mean of the values that were given.

        Parameters
        ----------
        x, y : array_like of shape (n,), optional
            The values whose mean is wanted, in any
            order.
        axis : int
            Along which axis the mean is to be taken.

        Returns
        -------
        ndarray
            The mean of the values along the axis.

        See Also
        --------
        median : The median of the values along the same axis.

        Notes
        -----
        This is the arithmetic mean and not the geometric one.

        References
        ----------
        .. [1] A. Author, "A book about the means of things", 1999.
    """
    assert read(docstring) == [
        "Compute the mean of the values that were given.",
        "The values whose mean is wanted, in any order.",
        "Along which axis the mean is to be taken.",
        "The mean of the values along the axis.",
        "This is the arithmetic mean and not the geometric one.",
    ]


def test_google_entries_lose_their_headers() -> None:
    docstring = """
        Compute the mean of the values that were given.

        Args:
            x (`torch.FloatTensor` of shape `(batch_size, 1)`, *optional*, defaults to `None`):
                The values whose mean is wanted, in any order.
            axis: Along which axis the mean is to be
                taken here.

        Returns:
            The mean of the values along the axis.

        Example:

            This is how one would use it in practice.

        Raises:
            ValueError: If there are no values to take the mean of.
    """
    assert read(docstring) == [
        "Compute the mean of the values that were given.",
        "The values whose mean is wanted, in any order.",
        "Along which axis the mean is to be taken here.",
        "The mean of the values along the axis.",
        "If there are no values to take the mean of.",
    ]


def test_sphinx_fields_keep_what_they_say() -> None:
    docstring = """
        :param int axis: Along which axis the mean is to be taken.
        :type axis: int or a tuple of as many ints as needed
        :returns: The mean of the values along the axis.
    """
    assert read(docstring) == ["Along which axis the mean is to be taken.", "The mean of the values along the axis."]


def test_marked_names_are_headers_wherever_they_stand() -> None:
    docstring = """
        - **mean** (`float`) -- The mean of all the values that were given.
        - `size`: The number of values that were given to it.
        count -- the number of values that were counted
    """
    assert read(docstring) == [
        "The mean of all the values that were given.",
        "The number of values that were given to it.",
        "the number of values that were counted",
    ]


def test_notes_are_read_and_other_directives_are_not() -> None:
    docstring = """
        .. note::
            The values are read once and never kept.
        .. warning:: The axis must be one that there is.
        .. versionadded:: 1.2
            The axis can be given as a tuple now.
        .. a comment that goes on for quite a while
    """
    assert read(docstring) == [
        "The values are read once and never kept.",
        "The axis must be one that there is.",
    ]


def test_tables_and_rules_are_dropped() -> None:
    docstring = """
        ======  ==================================
        name    what the name of it means to us
        ======  ==================================
        mean    the sum of all divided by how many
        ======  ==================================

        +------+--------------------------------------+
        | mean | the sum of all divided by how many   |
        +------+--------------------------------------+

        | a | markdown table of many words here |
        |---|------------------------------------|
    """
    assert read(docstring) == []


def test_each_item_of_a_list_is_a_paragraph() -> None:
    docstring = """
        - The first item goes on over
          two lines of the list.
        - The second item stands on one line.
        3. The third item has a number instead.
        - short
    """
    assert read(docstring) == [
        "The first item goes on over two lines of the list.",
        "The second item stands on one line.",
        "The third item has a number instead.",
    ]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        (
            "Use :class:`~numpy.ndarray` or :func:`numpy.mean` for the values here.",
            "Use numpy.ndarray or numpy.mean for the values here.",
        ),
        (
            "See `the guide <https://a.b/c>`_ and **never** *mind* the ``x`` here.",
            "See the guide and never mind the x here.",
        ),
        (
            "Use [`~Model.load`] or [the guide](http://a.b) for the model here.",
            "Use Model.load or the guide for the model here.",
        ),
        ("It follows the book [1]_ as far as that one goes.", "It follows the book as far as that one goes."),
        ("This is it. See http://a.b for more. And this is the rest.", "This is it. And this is the rest."),
        ("It is the one from [1]_, with a change. And this is all the rest.", "And this is all the rest."),
        ("This is how to do it well. For example:", "This is how to do it well."),
        ("<Tip warning={true}>The model is a very large one.</Tip>", "The model is a very large one."),
        (":math:`n` is the number of values in all.", "n is the number of values in all."),
    ],
)  # fmt: skip
def test_markup_is_stripped_and_links_take_their_sentence_with_them(marked: str, plain: str) -> None:
    assert clean(marked) == plain


@pytest.mark.parametrize(
    "block",
    [
        "five words are too few",
        "x = f(a, b) + g(c) - h[1:2] * 3",
        r"where \alpha is the rate of all the values here",
        "where the values are x_{i} for every i in the list",
        "where the square x^2 is taken of all the values",
        "this one breaks off because the code comes next:",
        "this one is followed by the value of the",
        "this one has (an open bracket that never ends",
        "Copyright 2020 by the authors, who keep all of it.",
        "Licensed under the terms that stand in the file there.",
    ],
)
def test_what_is_no_prose_is_dropped(block: str) -> None:
    assert clean(block) == ""


def test_the_first_paragraph_is_a_summary_only_if_it_came_first() -> None:
    assert paragraphs("Return the mean of all the values.\n\nAnd this is more about it.")[1]
    assert not paragraphs("Return the mean.\n\nAnd this is more about it.")[1]
    assert not paragraphs("f(x)\n\nAnd this is more about it.")[1]
    assert not paragraphs("Args:\n    x: The first of all the things that follow.")[1]
    assert not paragraphs(">>> f(1)\n\nAnd this is more about it.")[1]
    assert not paragraphs(".. note:: And this is more about it.")[1]
    assert paragraphs("") == ([], False)


def test_folding_ignores_identifiers_numbers_and_case() -> None:
    one = fold("Constructs a BertModel with 12 layers of attention_heads.")
    assert one == fold("constructs a GPT2Model with 24 layers of hidden_states!")
    assert one != fold("Constructs a BertModel without layers.")


@pytest.mark.parametrize(
    "docstring", ["", " ", "\n\n", "```", "Args:", "::\n  x", ".. note::", "====", ">>> x", "a\n---", "- \n-", "x:"]
)
def test_any_fragment_is_read_without_an_error(docstring: str) -> None:
    assert isinstance(blocks(docstring), list)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import UsageError
from dbre.core.selector import LABEL_KEY, LABEL_VALUE, Selector

KEYS = st.from_regex(LABEL_KEY, fullmatch=True).map(str.strip)
VALUES = st.from_regex(LABEL_VALUE, fullmatch=True).map(str.strip)
LABELS = st.dictionaries(KEYS, st.lists(VALUES, min_size=1, max_size=4, unique=True), max_size=4)


@given(labels=LABELS)
def test_a_selector_reads_back_as_it_was_written(labels: dict[str, list[str]]) -> None:
    selector = Selector.of(labels)
    assert Selector.parse(str(selector)) == selector
    assert all(selector.allows({key: values[-1] for key, values in labels.items()} | {"more": "x"}) for _ in [0])
    assert bool(labels) != selector.allows({})


@given(text=st.text(st.sampled_from("abé=,() in0\t\n\x00-"), max_size=30))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        selector = Selector.parse(text)
    except UsageError:
        return
    assert Selector.parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  ", ()),
        ("environment=prod", (("environment", ("prod",)),)),
        ("environment == prod", (("environment", ("prod",)),)),
        (" tier in ( 0 , 1 ) , a=b ", (("tier", ("0", "1")), ("a", ("b",)))),
        ("tier in (0,0)", (("tier", ("0",)),)),
    ],
)
def test_both_forms_of_a_term_are_read(text: str, terms: tuple) -> None:
    assert Selector.parse(text).terms == terms


@pytest.mark.parametrize(
    "text",
    [
        "prod",
        "a=",
        "=b",
        "a=b,",
        ",a=b",
        "a=b c=d",
        "a!=b",
        "a in ()",
        "a in (b",
        "a in b",
        "a=b,a=c",
        "A=b",
        "a=b\nc",
        "a='b'",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Selector.parse(text)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_all_labels_must_fit_and_one_value_each() -> None:
    selector = Selector.of({"tier": ["0", "1"], "team": "checkout"})
    assert selector.allows({"tier": "1", "team": "checkout"})
    assert not selector.allows({"tier": "2", "team": "checkout"})
    assert not selector.allows({"tier": "1"})
    with pytest.raises(UsageError, match="may have no value at all"):
        Selector.of({"tier": []})

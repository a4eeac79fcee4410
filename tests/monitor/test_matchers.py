"""Labels, matchers and fingerprints as Alertmanager has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.apps.monitor.alerts.matchers import (
    Matcher,
    as_json,
    fingerprint,
    from_json,
    group_name,
    label_text,
    matching,
    parse,
)
from metier.errors import RecipeError


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ({}, "cbf29ce484222325"),
        # of the tests of prometheus/common: 14695981039346656037 and 5799056148416392346
        ({"name": "garland, briggs", "fear": "love is not enough"}, f"{5799056148416392346:016x}"),
    ],
)
def test_the_fingerprint_is_that_of_prometheus(labels: dict[str, str], known: str) -> None:
    assert fingerprint(labels) == known


def test_the_fingerprint_does_not_depend_on_the_order_but_on_every_letter() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "bc"}) != fingerprint({"ab": "c"})


@pytest.mark.parametrize(
    ("text", "labels", "hit"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ("severity=critical", {"severity": "warning"}, False),
        ('severity != "critical"', {}, True),
        ('company=""', {"topic": "x"}, True),
        ('company!=""', {"company": "Acme"}, True),
        ('company=~"Acme|Bolt"', {"company": "Bolt"}, True),
        ('company=~"Acme"', {"company": "Acme Ltd"}, False),
        ('company!~"Acme.*"', {"company": "Acme Ltd"}, False),
        ('{topic="贷款", severity=~"warning|critical",}', {"topic": "贷款", "severity": "warning"}, True),
        (r'say="She said: \"Hi, all\"\n\\"', {"say": 'She said: "Hi, all"\n\\'}, True),
        (r'digits=~"\\d+"', {"digits": "42"}, True),
        ("{}", {"anything": "x"}, True),
    ],
)
def test_what_matches(text: str, labels: dict[str, str], hit: bool) -> None:
    assert matching(parse(text), labels) is hit


@pytest.mark.parametrize(
    "text",
    ["severity", "severity=", "a==b", '{a="b"', 'a="b"}', 'a="b', 'a="b"c"', "a=b!", 'a="b",,c="d"', '1a="b"', "a=b c"],
)
def test_what_is_no_matcher_is_said(text: str) -> None:
    with pytest.raises(RecipeError, match="is no matcher"):
        parse(text)


def test_a_wrong_pattern_is_found_when_it_is_read() -> None:
    with pytest.raises(RecipeError, match="The pattern"):
        parse('company=~"("')


@given(st.text(max_size=20), st.sampled_from(["=", "!="]))
def test_what_is_written_is_read_again(value: str, operator: str) -> None:
    matcher = Matcher("company", value, operator)
    assert parse(str(matcher)) == (matcher,)
    assert parse(group_name((matcher, Matcher("a", "b")))) == (Matcher("a", "b"), matcher)


def test_names_of_groups() -> None:
    assert group_name(parse('b="2",a=~"1"')) == '{a=~"1",b="2"}'
    assert label_text({"topic": 'a"b', "company": "x"}) == '{company="x", topic="a\\"b"}'


def test_matchers_as_the_api_of_alertmanager_has_them() -> None:
    given = parse('a="1",b!="2",c=~"3",d!~"4"')
    plain = as_json(given)
    assert plain[3] == {"name": "d", "value": "4", "isRegex": True, "isEqual": False} and from_json(plain) == given
    assert from_json([{"name": "a", "value": "1"}]) == (Matcher("a", "1"),)
    for wrong in (
        [{"name": "a b", "value": "1"}],
        [{"name": "a"}],
        ["a=b"],
        7,
        [{"name": "a", "value": "(", "isRegex": True}],
    ):
        with pytest.raises(RecipeError):
            from_json(wrong)

"""What a session of the documentation counts as shown."""

import pytest

from tests.sessions import is_as_shown


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("one\ntwo\n", "one\ntwo"),
        ("one\ntwo\nthree\n", "one\n...\nthree"),
        ("one\n2026-11-24 done\n", "one\n... done"),
        ('{"id":7,"at":"2026-11-24"}', '{\n  "id": ...,\n  "at": "2026-..."\n}'),
        ('{"results":[{"id":1}]}', '{"results": [...]}'),
        ("a b   \n", "a b"),
    ],
)
def test_an_output_is_as_shown(output, shown):
    assert is_as_shown(output, shown)


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("one\ntwo\n", "one"),
        ("one\n\nthree\n", "one\nthree"),
        ('{"id":7,"more":1}', '{"id": 7}'),
        ('{"id":7}', '{"id": "7"}'),
        ('{"results":[{"id":1},{"id":2}]}', '{"results": [{"id": 1}]}'),
        ('{"a":true}', '{"a": 1}'),
        ("not json", '{"id": 7}'),
    ],
)
def test_an_output_is_not_as_shown(output, shown):
    assert not is_as_shown(output, shown)

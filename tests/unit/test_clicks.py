"""Reading what a POST says, and where it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.web.clicks import find_client_ip, parse_fields
from forbear.web.rendering import find_href

PROXIES = ("10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7/24")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.66", "198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.3.3.3"], "10.3.3.3"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("192.0.2.200", ["[2001:db8:2::1]:443"], "2001:db8:2::1"),
        ("2001:db8:1::5", ["2001:db8:2::1"], "2001:db8:2::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        (None, ["198.51.100.1"], None),
        ("", [], None),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_ours(peer, forwarded, client):
    assert find_client_ip(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_nothing_is_believed():
    assert find_client_ip("127.0.0.1", ["198.51.100.1"], ()) == "127.0.0.1"


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.binary(max_size=500))
def test_reading_fields_never_raises(content_type, body):
    for media_type in (content_type, f"multipart/form-data; boundary={content_type}"):
        assert isinstance(parse_fields(media_type, body), dict)


@given(st.text(max_size=200), st.text(max_size=200))
def test_reading_a_client_never_raises(peer, forwarded):
    find_client_ip(peer, [forwarded], PROXIES)
    find_client_ip("10.0.0.1", [forwarded], PROXIES)


@pytest.mark.parametrize(
    ("contact", "href"),
    [
        ("privacy@maison.example", "mailto:privacy@maison.example"),
        ("opt-out+web@maison.example", "mailto:opt-out+web@maison.example"),
        ("+33 1 99 00 12 34", "tel:+33199001234"),
        ("(01) 99-00", None),
        ("01 99.00/12-34", "tel:0199001234"),
        ("12 rue de la Paix, 75002 Paris", None),
        ("privacy@maison.example or +33 1 99 00 12 34", None),
        ("javascript:alert(1)", None),
    ],
)
def test_a_contact_is_linked_where_it_can_be(contact, href):
    assert find_href(contact) == href

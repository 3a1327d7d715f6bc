"""What tor says of streams, and the stream ids made of it. The lines are tor 0.4.9.11's own."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import streams
from namecoin_resolver.outcome import Kind
from namecoin_resolver.streams import Isolation, Stream

DEFAULT = "SOCKS_USERNAME,SOCKS_PASSWORD,CLIENTADDR,SESSION_GROUP,NYM_EPOCH"
ISOLATION = Isolation(b"salt")
PORTS = itertools.count(1024)
NEW = (
    r'4 NEW 0 example.bit:80 SOURCE_ADDR=127.0.0.1:34904 PURPOSE=USER SOCKS_USERNAME="u\"x\\ FOO=\"b\303\251"'
    rf' SOCKS_PASSWORD="p" CLIENT_PROTOCOL=SOCKS5 NYM_EPOCH=0 SESSION_GROUP=-4 ISO_FIELDS={DEFAULT}'
)


def parsed(line: str) -> Stream:
    stream = streams.parse(line)
    assert stream is not None
    return stream


def made(target: str = "example.bit:80", source: str | None = "127.0.0.1", /, **fields: str) -> str:
    """The id of a stream with some fields besides the usual ones."""
    given = {"SESSION_GROUP": "-4", "NYM_EPOCH": "0", "CLIENT_PROTOCOL": "SOCKS5", "ISO_FIELDS": DEFAULT, **fields}
    if source:
        given["SOURCE_ADDR"] = f"{source}:{next(PORTS)}"
    line = " ".join(f"{name}={text}" for name, text in given.items() if text)
    return ISOLATION.stream_id(parsed(f"7 NEW 0 {target} {line}"))


def test_an_event_has_its_fields_with_quotes_and_all() -> None:
    stream = parsed(NEW)
    assert (stream.id, stream.status, stream.host, stream.port) == ("4", "NEW", "example.bit", "80")
    assert stream.source == "127.0.0.1"
    assert stream.fields["SOCKS_USERNAME"] == r'"u\"x\\ FOO=\"b\303\251"'
    assert "FOO" not in stream.fields
    assert stream.fields["ISO_FIELDS"] == DEFAULT


def test_a_line_of_stream_status_has_no_fields() -> None:
    assert streams.parse("6 NEWRESOLVE 0 [2001:db8::1]:0") == Stream("6", "NEWRESOLVE", "[2001:db8::1]", "0")
    assert streams.parse("") is None
    assert streams.parse("OK") is None


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    streams.parse(text)
    streams.parse(f"1 NEW 0 {text}")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.bit", True),
        ("EXAMPLE.BIT.", True),
        ("www.example.bit.onion", True),
        ("-.bit", True),
        ("bit", False),
        ("example.bit.com", False),
        ("example.com", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_which_hosts_are_bit(host: str, expected: bool) -> None:
    assert Stream("1", "NEW", host, "80").is_bit is expected


def test_equal_contexts_share_an_id_whatever_they_ask_for() -> None:
    assert made() == made("other.bit:443")
    assert made(SOCKS_USERNAME='"a"') == made("other.bit:443", SOCKS_USERNAME='"a"')
    assert len(made()) == 32


@pytest.mark.parametrize(
    "fields",
    [
        {"SOCKS_USERNAME": '"a"'},
        {"SOCKS_USERNAME": '""'},
        {"SOCKS_PASSWORD": '"a"'},
        {"SESSION_GROUP": "-5"},
        {"NYM_EPOCH": "1"},
    ],
)
def test_each_field_of_isolation_makes_another_id(fields: dict[str, str]) -> None:
    assert made(**fields) != made()


def test_a_field_that_tor_does_not_isolate_by_makes_none() -> None:
    assert made(CLIENT_PROTOCOL="SOCKS4") == made()
    assert made(CLIENT_PROTOCOL="SOCKS4", ISO_FIELDS="CLIENT_PROTOCOL") != made(ISO_FIELDS="CLIENT_PROTOCOL")
    assert made("example.bit:80", "127.0.0.1") != made("example.bit:80", "127.0.0.2")
    assert made("example.bit:80", "127.0.0.1", ISO_FIELDS="NYM_EPOCH") == made(
        "example.bit:80", None, ISO_FIELDS="NYM_EPOCH"
    )


def test_isolation_by_destination() -> None:
    assert made("a.bit:80", ISO_FIELDS="DESTADDR") == made("A.bit:81", ISO_FIELDS="DESTADDR")
    assert made("a.bit:80", ISO_FIELDS="DESTADDR") != made("b.bit:80", ISO_FIELDS="DESTADDR")
    assert made("a.bit:80", ISO_FIELDS="DESTPORT") == made("b.bit:80", ISO_FIELDS="DESTPORT")
    assert made("a.bit:80", ISO_FIELDS="DESTPORT") != made("a.bit:81", ISO_FIELDS="DESTPORT")


@pytest.mark.parametrize("fields", [{"ISO_FIELDS": ""}, {"ISO_FIELDS": "NYM_EPOCH,MOON_PHASE"}, {"SESSION_GROUP": ""}])
def test_what_cannot_be_compared_is_kept_apart(fields: dict[str, str]) -> None:
    line = " ".join(f"{name}={text}" for name, text in ({"ISO_FIELDS": DEFAULT} | fields).items())
    one, two = (
        ISOLATION.stream_id(parsed(f"{number} NEW 0 a.bit:80 SOURCE_ADDR=127.0.0.1:1 {line}")) for number in (1, 2)
    )
    assert one != two


def test_a_client_whose_address_is_not_known_is_kept_apart() -> None:
    line = NEW.replace("SOURCE_ADDR=127.0.0.1:34904 ", "")
    assert ISOLATION.stream_id(parsed(line)) != ISOLATION.stream_id(parsed("5" + line[1:]))


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_credentials_never_run_into_each_other(pairs: list[tuple[str, str]]) -> None:
    def quoted(text: str) -> str:
        return '"' + "".join(f"\\{ord(c):o}" if c in '"\\' or not " " <= c <= "~" else c for c in text) + '"'

    one, two = (made(SOCKS_USERNAME=quoted(user), SOCKS_PASSWORD=quoted(password)) for user, password in pairs)
    assert one != two


def test_runs_have_other_ids_and_none_shows_its_salt() -> None:
    assert ISOLATION.stream_id(parsed(NEW)) != Isolation(b"other").stream_id(parsed(NEW))
    assert "salt" not in repr(ISOLATION).replace("salt=", "")


def test_every_outcome_but_found_has_a_reason() -> None:
    assert set(streams.REASON) == set(Kind) - {Kind.FOUND}

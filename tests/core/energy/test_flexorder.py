"""FlexOrders of UFTP: the quarters they limit, and everything that is refused."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.allowed import PowerKind, civil_instant
from slurm_ai_factory.core.energy.flexorder import from_flex_order
from slurm_ai_factory.core.energy.meters import QUARTER

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
BASELINE = Decimal(1000)
ISP = '<ISP Power="-250000" Start="1" Duration="4"/>'
NOW = 2**31


def order(isps: str = ISP, before: str = "", name: str = "FlexOrder", **changes: str) -> bytes:
    attributes = {
        "Version": "3.0.0", "SenderDomain": "dso.example", "RecipientDomain": "hub.example",
        "TimeStamp": "2027-03-27T08:00:00+01:00", "MessageID": "5f8c8d2e-0b4f-4a8e-9f0a-0a2b4f1c7d11",
        "ConversationID": "5f8c8d2e-0b4f-4a8e-9f0a-0a2b4f1c7d12", "ISP-Duration": "PT15M",
        "TimeZone": "Europe/Amsterdam", "Period": "2027-03-27", "CongestionPoint": "ean.123456789012345678",
        "OrderReference": "order-7", "Price": "10.00", "Currency": "EUR", **changes,
    }  # fmt: skip
    written = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>{before}<{name} {written}>{isps}</{name}>'.encode()


def test_an_order_is_the_baseline_less_what_it_orders() -> None:
    zeros = '<ISP Power="0" Start="5" Duration="92"/>'
    (row,) = from_flex_order(order(ISP + zeros, ActivationFactor="0.5"), BASELINE, NOW)
    begin = civil_instant("2027-03-27", AMSTERDAM)
    assert (row.since, row.until) == (begin, begin + 4 * QUARTER)
    assert (row.max_kw, row.kind, row.reference) == (Decimal(875), PowerKind.REDISPATCH, "order-7")
    assert row.told_at == civil_instant("2027-03-27T08:00", AMSTERDAM)


@pytest.mark.parametrize(
    ("day", "count"), [("2027-03-27", 96), ("2027-03-28", 92), ("2027-10-31", 100)], ids=str
)
def test_a_day_has_the_intervals_that_its_clocks_have(day: str, count: int) -> None:
    last = f'<ISP Power="-1000" Start="{count}"/>'
    (row,) = from_flex_order(order(last, Period=day), BASELINE, NOW)
    assert row.until == civil_instant(day, AMSTERDAM) + count * QUARTER
    with pytest.raises(ValueError, match=f"is not on that day, which has {count}"):
        from_flex_order(order(last.replace(f'"{count}"', f'"{count + 1}"'), Period=day), BASELINE, NOW)


def test_the_third_hour_of_a_long_day_is_there_twice() -> None:
    """Interval 9 begins at 02:00 summer time, interval 13 at 02:00 winter time."""
    twice = '<ISP Power="-1" Start="9"/><ISP Power="-1" Start="13"/>'
    first, second = from_flex_order(order(twice, Period="2027-10-31"), BASELINE, NOW)
    assert first.since == civil_instant("2027-10-31T02:00+02:00", AMSTERDAM)
    assert second.since == civil_instant("2027-10-31T02:00+01:00", AMSTERDAM)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (order("&c;", before=BOMB), "has a document type"),
        (order(before='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "has a document type"),
        (order(" " * 2**20), "has more than 1048576 bytes"),
        (order()[:-3], "is not XML"),
        (b"<", "is not XML"),
        (order(name="FlexRequest"), "is a FlexRequest; only a FlexOrder"),
        (order(ISP_Duration="PT60M").replace(b'ISP-Duration="PT15M" ', b""), "only PT15M"),
        (order(TimeZone="Mars/Olympus"), "TimeZone or Period cannot be read"),
        (order(TimeZone="../../etc/passwd"), "TimeZone or Period cannot be read"),
        (order(Period="2027-02-30"), "TimeZone or Period cannot be read"),
        (order(TimeStamp="2099-01-01T00:00:00Z"), "told_at 2099-01-01T00:00:00Z is in the future"),
        (order(OrderReference=""), "OrderReference is missing"),
        (order(ISP + ISP), "ISP 1 is there twice"),
        (order(ISP.replace("-250000", "250000")), "orders to draw more"),
        (order(ISP.replace("-250000", "-2500000")), "less than a baseline of 1000 kW"),
        (order(ISP.replace("-250000", "NaN")), "Power 'NaN' is out of range"),
        (order(ISP.replace('"1"', '"0"')), "is not a number from 1"),
        (order(ISP.replace('"4"', '"1.5"')), "is not a number from 1"),
        (order(ActivationFactor="0"), "ActivationFactor 0"),
        (order(""), "the order changes nothing"),
    ],
)
def test_what_is_no_order_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_flex_order(data, BASELINE, NOW)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: order(text)))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    """No other error gets out."""
    with suppress(ValueError):
        assert from_flex_order(data, BASELINE, NOW)

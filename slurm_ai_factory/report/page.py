"""The words of the page that depend on its values. Tested in tests/report/test_report.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from slurm_ai_factory.core.records import Bound
from slurm_ai_factory.language import Language

SECTIONS = {"access": "access_mode", "role": ""}
"""Tables whose names are in a section of the messages with another name, or in none."""


class Page:
    """What the template needs besides the values: words that depend on them."""

    def __init__(self, speech: Language, values: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        self.l, self.r, self.labels = speech, values, labels

    @property
    def share(self) -> Mapping[str, Any]:
        """The measurement."""
        return self.r["share"]  # type: ignore[no-any-return]

    @property
    def promises(self) -> Sequence[Mapping[str, Any]]:
        """The further promises; none in a report without them."""
        return tuple(self.r.get("promises", ()))

    @property
    def promises_changed(self) -> str:
        """The further promises of which the report that this one replaces says otherwise."""
        return ", ".join(self.r["restatements"].get("promises", ()))

    @property
    def region(self) -> str:
        """The name of the region."""
        named = self.r["report"]["region"] or {}
        return named.get(self.l.code) or str(self.l.say("words.region"))

    @property
    def unit(self) -> str:
        """The name of an hour of the resource of the promise."""
        return self.unit_of(self.share["resource_label"] or self.share["resource"])

    def unit_of(self, resource: str) -> str:
        """The name of an hour of a resource."""
        known = self.l.messages["unit"]
        return str(known[resource]) if resource in known else str(self.l.say("words.unit", resource=resource))

    def interval(self, window: Mapping[str, Any]) -> Markup:
        """First and last day of a window."""
        first, last = self.l.day(window["since"]), self.l.day(window["until"], before=1)
        return self.l.say("words.interval", first=first, last=last)

    def label(self, table: str, name: str) -> str:
        if not name:
            return str(self.l.say("grant.none" if table == "grant" else "words.nowhere"))
        return (
            self.labels.get(name, name)
            if table == "municipality"
            else self.l.word(SECTIONS.get(table, table), name)
        )

    def term(self) -> Markup:
        """The first day of the term, and its source document."""
        term = self.r["promise"]
        if term["since"] is None:
            return self.l.say("promise.first", source=term["source"])
        return self.l.say("promise.since", since=self.l.day(term["since"]), source=term["source"])

    def promise_changed(self, term: Mapping[str, Any]) -> Markup:
        """The first day of a term, and its differences from the one before."""
        changes = Markup("; ").join(self._was(name, pair) for name, pair in term["changed"].items())
        return self.l.say(
            "promise.changed", since=self.l.day(term["since"]), changes=changes, source=term["source"]
        )

    def _was(self, name: str, pair: Mapping[str, Any]) -> Markup:
        """One field of a term, before and after."""
        if name == "ended":
            return self.l.say("promise.ended" if pair["now"] else "promise.resumed")
        if name == "region":
            added, removed = (self._municipalities(pair, *keys) for keys in (("now", "was"), ("was", "now")))
            return self.l.say("promise.was_region", added=added, removed=removed)
        both = {key: self._of_term(name, pair[key]) for key in ("was", "now")}
        if name == "share":
            return self.l.say("promise.was_share", **both)
        return self.l.say("promise.was", what=self.l.word("term", name), **both)

    def _of_term(self, name: str, value: Any) -> str:
        if name in ("share", "margin", "unclassified_limit", "expertise_share") and value is not None:
            return self.l.plain_floor(value)
        if value is None:
            return str(self.l.say("words.none"))
        return self.l.word("window_kind", value) if name == "window" else str(value)

    def _municipalities(self, pair: Mapping[str, Any], of: str, without: str) -> str:
        """The municipalities in one list and not in the other."""
        names = [self.label("municipality", code) for code in pair[of] if code not in pair[without]]
        return ", ".join(names) or str(self.l.say("words.none"))

    def bounded(self, promise: Mapping[str, Any]) -> Markup:
        """What a further promise bounds, of what, and in which windows."""
        return self.l.say(
            "promises.bounded",
            promised=self.l.promised(Bound(promise["bound"]), promise["share"]),
            base=self.l.part_of(promise["share_of"]),
            window=self.window_kind(promise["window"]),
        )

    def window_kind(self, window: str) -> str:
        """The windows of a promise: each quarter, or the last 30 days."""
        return self.l.window(self.l.word("window_kind", window))

    def promised_to(self, promise: Mapping[str, Any]) -> str:
        """Whom a further promise is made to."""
        unnamed = str(self.l.say("promises.unnamed"))
        conditions = (
            self.l.word("condition", key) + ": "
            + (unnamed if names is None else ", ".join(self.label(key, name) for name in names.split(", ")))
            for key, names in promise["who"].items()
        )  # fmt: skip
        return "; ".join(conditions)

    def term_of(self, promise: Mapping[str, Any]) -> Markup:
        """The term of a further promise: since when, who recorded it, and the document."""
        days = {key: self.l.day(promise[key]) for key in ("since", "recorded_at")}
        texts = {key: promise[key] for key in ("actor", "source", "reason")}
        return self.l.say(
            "promises.afterwards" if promise["retroactive"] else "promises.term", **days, **texts
        )

    def compared(self) -> str:
        """The instant of the earlier figures of each window."""
        return "; ".join(
            f"{self.l.window(earlier['window'])}: {self.l.day(earlier['as_of'])}"
            for earlier in self.r["restatements"]["compared_with"]
        )

    def terms_changed(self, row: Mapping[str, Any]) -> Markup | str:
        """The fields of the term that differ from the earlier report."""
        others = [self.l.word("term", name) for name in row["terms_changed"] if name != "share"]
        if "share" in row["terms_changed"]:
            shares = (self.l.plain_floor(row[key]) for key in ("target_share_before", "target_share"))
            others.insert(0, " → ".join(shares))
        return ", ".join(others) or self.l.say("words.unchanged")

    def why_restated(self) -> Markup:
        """Why the figures differ from those of the report that this one replaces."""
        rows = self.r["restatements"]["rows"]
        row = next((each for each in rows if each["window"] == self.share["window"]), None)
        if row is None and not self.promises_changed:
            return self.l.say("restated.same")
        causes = {
            "accounting": row and row["regional_charge_by_accounting"],
            "classification": row and row["regional_charge_by_classification"],
            "joined": row and not row["causes_told"],
            "terms": row and row["terms_changed"],
            "promises": self.promises_changed,
        }
        sentences = (
            self.l.say(f"restated.cause_{name}", names=self.promises_changed)
            for name, applies in causes.items()
            if applies
        )
        return self.l.say("restated.why", causes=Markup("; ").join(sentences))

    def reasons(self) -> str:
        """The reasons of holds, the most frequent first."""
        reasons: Counter[str] = Counter()
        for month in self.r["control"]["months"]:
            reasons.update(month["reasons"])
        ordered = sorted(reasons, key=lambda name: (-reasons[name], name))
        return "; ".join(self.l.word("reason", name) for name in ordered)

"""DynamoDB's condition, update and key expressions and PartiQL, parsed once into functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from bench.stub import evaluate
from bench.stub.errors import validation
from bench.stub.evaluate import Attribute, Item, Operand, Test, Values

Names: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A truth about an item; `equals` holds what it says attributes must equal."""

    test: Test
    equals: dict[str, Operand]


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update sets, and what it removes."""

    assignments: tuple[tuple[str, Operand], ...]
    removals: tuple[str, ...]

    def apply(self, item: Item, values: Values) -> dict[str, Attribute]:
        """Make the changed item; every right side sees the item as it was before."""
        changed = dict(item)
        for name, operand in self.assignments:
            value = operand(item, values)
            if value is None:
                raise validation("The provided expression refers to an attribute that is not there")
            changed[name] = value
        for name in self.removals:
            changed.pop(name, None)
        return changed


@dataclass(frozen=True, slots=True)
class Insert:
    """PartiQL: INSERT INTO "table" VALUE {…}."""

    table: str
    fields: tuple[tuple[str, Operand], ...]


@dataclass(frozen=True, slots=True)
class Update:
    """PartiQL: UPDATE "table" SET … WHERE …."""

    table: str
    changes: Changes
    condition: Condition


def names_key(names: Mapping[str, str] | None) -> Names:
    """Placeholders in a form that caches can look up."""
    return tuple(names.items()) if names else ()


@lru_cache(maxsize=4096)
def condition(text: str, names: Names = ()) -> Condition:
    """Parse a ConditionExpression, FilterExpression or KeyConditionExpression."""
    parser = _Parser(text, names)
    test = parser.condition()
    parser.end()
    return Condition(test, parser.equals)


@lru_cache(maxsize=4096)
def changes(text: str, names: Names = ()) -> Changes:
    """Parse an UpdateExpression (SET and REMOVE, and ADD of numbers)."""
    parser = _Parser(text, names)
    parsed = parser.changes()
    parser.end()
    return parsed


@lru_cache(maxsize=4096)
def statement(text: str) -> Insert | Update:
    """Parse a PartiQL INSERT or UPDATE."""
    return _Parser(text, ()).statement()


_TOKEN: Final = re.compile(
    r"""\s*(?:
        "(?P<quoted>[^"]+)" | '(?P<string>(?:[^']|'')*)' | (?P<number>\d+)
      | (?P<value>:\w+) | (?P<position>\?) | (?P<word>\#\w+|[A-Za-z_]\w*)
      | (?P<sign><>|<=|>=|!=|[-=<>+(),{}\[\]:])
    )""",
    re.VERBOSE,
)


@dataclass(slots=True)
class _Parser:
    text: str
    names: Names
    equals: dict[str, Operand] = field(default_factory=dict)
    _tokens: list[tuple[str, str]] = field(init=False)
    _at: int = 0
    _positions: int = 0
    _substitutes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._substitutes = dict(self.names)
        self._tokens = []
        at, text = 0, self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise validation(f"Invalid expression at {text[at : at + 20]!r}: {self.text}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise self._unexpected()

    def statement(self) -> Insert | Update:
        if self._word("INSERT"):
            self._expect("INTO")
            table = self._name()
            self._expect("VALUE")
            parsed: Insert | Update = Insert(table, tuple(self._fields()))
        else:
            self._expect("UPDATE")
            table = self._name()
            changed = self.changes()
            self._expect("WHERE")
            parsed = Update(table, changed, Condition(self.condition(), self.equals))
        if self._word("RETURNING"):
            self._at = len(self._tokens)
        self.end()
        return parsed

    def changes(self) -> Changes:
        assignments: list[tuple[str, Operand]] = []
        removals: list[str] = []
        while True:
            if self._word("SET"):
                assignments.append(self._assignment())
                while self._sign(","):
                    assignments.append(self._assignment())
            elif self._word("REMOVE"):
                removals.append(self._name())
                while self._sign(","):
                    removals.append(self._name())
            elif self._word("ADD"):
                name = self._name()
                assignments.append(
                    (
                        name,
                        evaluate.total(
                            evaluate.of_name(name), self._operand(), 1, missing_is_0=True
                        ),
                    )
                )
            else:
                break
        if not assignments and not removals:
            raise self._unexpected()
        return Changes(tuple(assignments), tuple(removals))

    def condition(self) -> Test:
        left = self._conjunction()
        while self._word("OR"):
            left = evaluate.either(left, self._conjunction())
        return left

    def _conjunction(self) -> Test:
        left = self._negation()
        while self._word("AND"):
            left = evaluate.both(left, self._negation())
        return left

    def _negation(self) -> Test:
        if self._word("NOT"):
            test = self._negation()
            return lambda item, values: not test(item, values)
        if self._sign("("):
            test = self.condition()
            self._expect_sign(")")
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        kind, text = self._peek()
        if kind == "word" and text in ("attribute_exists", "attribute_not_exists", "begins_with"):
            return self._function()
        is_name = kind in ("word", "quoted")
        left = self._operand()
        if self._peek()[1].upper() in ("IN", "BETWEEN", "IS"):
            return self._membership(left)
        kind, sign = self._next()
        if kind != "sign":
            raise self._unexpected()
        right = self._operand()
        if sign == "=":
            if is_name:
                self.equals.setdefault(self._substitutes.get(text, text), right)
            return evaluate.equal(left, right, wanted=True)
        if sign in ("<>", "!="):
            return evaluate.equal(left, right, wanted=False)
        return evaluate.ordered(left, right, evaluate.COMPARISONS[sign])

    def _membership(self, left: Operand) -> Test:
        if self._word("IN"):
            return evaluate.one_of(left, self._list())
        if self._word("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            return evaluate.both(
                evaluate.ordered(left, low, evaluate.COMPARISONS[">="]),
                evaluate.ordered(left, self._operand(), evaluate.COMPARISONS["<="]),
            )
        self._expect("IS")
        negated = self._word("NOT")
        self._expect("MISSING")
        return evaluate.exists(left, wanted=negated)

    def _function(self) -> Test:
        _, function = self._next()
        self._expect_sign("(")
        subject = self._operand()
        if function == "begins_with":
            self._expect_sign(",")
            prefix = self._operand()
            self._expect_sign(")")
            return evaluate.begins(subject, prefix)
        self._expect_sign(")")
        return evaluate.exists(subject, wanted=function == "attribute_exists")

    def _list(self) -> list[Operand]:
        closing = {"(": ")", "[": "]"}[self._next()[1]]
        members = [self._operand()]
        while self._sign(","):
            members.append(self._operand())
        self._expect_sign(closing)
        return members

    def _fields(self) -> list[tuple[str, Operand]]:
        self._expect_sign("{")
        fields = []
        while not self._sign("}"):
            kind, name = self._next()
            if kind not in ("string", "quoted"):
                raise self._unexpected()
            self._expect_sign(":")
            fields.append((name, self._operand()))
            self._sign(",")
        return fields

    def _assignment(self) -> tuple[str, Operand]:
        name = self._name()
        self._expect_sign("=")
        value = self._operand()
        while True:
            if self._sign("+"):
                value = evaluate.total(value, self._operand(), 1)
            elif self._sign("-"):
                value = evaluate.total(value, self._operand(), -1)
            else:
                return name, value

    def _operand(self) -> Operand:
        kind, text = self._next()
        if kind == "value":
            return lambda _, values: values[text]
        if kind == "position":
            position = self._positions
            self._positions += 1
            return lambda _, values: values[position]
        if kind == "string":
            constant = {"S": text.replace("''", "'")}
            return lambda _item, _values: constant
        if kind == "number":
            digits = {"N": text}
            return lambda _item, _values: digits
        if text == "if_not_exists":
            self._expect_sign("(")
            name = self._name()
            self._expect_sign(",")
            otherwise = self._operand()
            self._expect_sign(")")
            return lambda item, values: item.get(name) or otherwise(item, values)
        if kind in ("word", "quoted"):
            return evaluate.of_name(self._substitutes.get(text, text))
        raise self._unexpected()

    def _name(self) -> str:
        kind, text = self._next()
        if kind not in ("word", "quoted"):
            raise self._unexpected()
        return self._substitutes.get(text, text)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _word(self, word: str) -> bool:
        kind, text = self._peek()
        found = kind == "word" and text.upper() == word
        self._at += found
        return found

    def _sign(self, sign: str) -> bool:
        found = self._peek() == ("sign", sign)
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._word(word):
            raise self._unexpected()

    def _expect_sign(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._unexpected()

    def _unexpected(self) -> Exception:
        return validation(f"Invalid expression near {self._peek()[1]!r}: {self.text}")

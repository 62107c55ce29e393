"""Reads DynamoDB's condition, update and key expressions, and PartiQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from simulation.aws.dynamodb import evaluate
from simulation.aws.dynamodb.evaluate import Operand, Test
from simulation.aws.dynamodb.parsed import Changes, Condition, Insert, Update
from simulation.aws.errors import validation

_TOKEN: Final = re.compile(
    r"""\s*(?:
        "(?P<quoted>[^"]+)" | '(?P<string>(?:[^']|'')*)' | (?P<number>\d+)
      | (?P<value>:\w+) | (?P<position>\?) | (?P<word>\#\w+|[A-Za-z_]\w*)
      | (?P<sign><>|<=|>=|!=|[-=<>+(),{}\[\]:])
    )""",
    re.VERBOSE,
)


@dataclass(slots=True)
class Parser:
    """Reads one text; `equals` gathers what it says attributes must equal."""

    text: str
    names: Mapping[str, str]
    equals: dict[str, Operand] = field(default_factory=dict)
    _tokens: list[tuple[str, str]] = field(init=False)
    _at: int = 0
    _positions: int = 0

    def __post_init__(self) -> None:
        self._tokens = []
        at, text = 0, self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise validation(f"Invalid expression at {text[at : at + 20]!r}: {self.text}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def end(self) -> None:
        """Raise a validation error where anything is left."""
        if self._at != len(self._tokens):
            raise self._unexpected()

    def statement(self) -> Insert | Update:
        """A PartiQL INSERT or UPDATE, to its end."""
        if self._word("INSERT"):
            self._expect("INTO")
            table = self._name()
            self._expect("VALUE")
            parsed: Insert | Update = Insert(table, self._fields(), self._positions)
        else:
            self._expect("UPDATE")
            table = self._name()
            changed = self.changes()
            self._expect("WHERE")
            condition = Condition(self.condition(), self.equals)
            parsed = Update(table, changed, condition, self._positions)
        if self._word("RETURNING"):
            self._at = len(self._tokens)
        self.end()
        return parsed

    def changes(self) -> Changes:
        """SET and REMOVE, and ADD of numbers."""
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
                sum_of = evaluate.total(evaluate.Named(name), self._operand(), 1, missing_is_0=True)
                assignments.append((name, sum_of))
            else:
                break
        if not assignments and not removals:
            raise self._unexpected()
        return Changes(assignments, removals)

    def condition(self) -> Test:
        """Comparisons and functions, joined by AND, OR and NOT."""
        left = self._conjunction()
        while self._word("OR"):
            left = evaluate.either(left, self._conjunction())
        return left

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self._word("AND"):
            tests.append(self._negation())
        return evaluate.all_of(tests)

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
                self.equals.setdefault(self.names.get(text, text), right)
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
            return evaluate.Given(text)
        if kind == "position":
            position = self._positions
            self._positions += 1
            return evaluate.Given(position)
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
            return evaluate.Named(self.names.get(text, text))
        raise self._unexpected()

    def _name(self) -> str:
        kind, text = self._next()
        if kind not in ("word", "quoted"):
            raise self._unexpected()
        return self.names.get(text, text)

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

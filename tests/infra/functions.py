"""What CloudFormation makes of a template's functions, as far as the tests need them."""

import re
from typing import Any


def value(of: Any, parameters: dict[str, str]) -> Any:
    """What CloudFormation makes of a value that is built from strings alone."""
    if isinstance(of, list):
        return [value(part, parameters) for part in of]
    if not isinstance(of, dict):
        return of
    ((function, argument),) = of.items()
    if function == "Ref":
        return parameters[argument]
    if function == "Fn::Split":
        delimiter, text = value(argument, parameters)
        return text.split(delimiter)
    if function == "Fn::Select":
        index, parts = value(argument, parameters)
        return parts[index]
    assert function == "Fn::Sub"
    text, names = (argument, {}) if isinstance(argument, str) else argument
    filled = parameters | {name: value(part, parameters) for name, part in names.items()}
    return re.sub(r"\$\{(\w+)\}", lambda match: filled[match[1]], text)


def is_true(condition: dict[str, Any], parameters: dict[str, str]) -> bool:
    """What CloudFormation makes of a condition on parameters."""
    ((function, parts),) = condition.items()
    if function == "Fn::Equals":
        one, other = (value(part, parameters) for part in parts)
        return bool(one == other)
    found = [is_true(part, parameters) for part in parts]
    if function == "Fn::Not":
        return not found[0]
    return all(found) if function == "Fn::And" else any(found)

"""Leaves out of a template what the emulator cannot make."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from local.templates import Template

UNSUPPORTED_TYPES: Final = (
    "AWS::ApplicationAutoScaling::",
    "AWS::Athena::NamedQuery",
    "AWS::WAFv2::WebACLAssociation",
)
"""Beginnings of the resource types for which MiniStack 1.5.33 refuses the whole stack."""

_SUBSTITUTED: Final = re.compile(r"\$\{([A-Za-z0-9]+)")


def for_emulator(template: Template) -> Template:
    """Leave out the resources that the emulator refuses, and whatever refers to them.

    `DependsOn` only sets an order, so there only the name is removed.
    """
    resources: dict[str, Any] = template["Resources"]
    missing = {name for name, resource in resources.items() if _is_refused(resource)}
    while more := {
        name
        for name, resource in resources.items()
        if name not in missing and missing.intersection(_references(resource))
    }:
        missing |= more
    return {
        **template,
        "Resources": {
            name: _without_dependencies(resource, missing)
            for name, resource in resources.items()
            if name not in missing
        },
        "Outputs": {
            name: output
            for name, output in template.get("Outputs", {}).items()
            if not missing.intersection(_references(output))
        },
    }


def _is_refused(resource: Mapping[str, Any]) -> bool:
    # An alarm on metric math is refused, too; one on a single metric is not.
    is_math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    return is_math or resource["Type"].startswith(UNSUPPORTED_TYPES)


def _references(value: object) -> Iterator[str]:
    """Yield the names that a part of a template refers to by Ref, GetAtt or Sub."""
    if isinstance(value, list):
        for part in value:
            yield from _references(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key == "Ref":
                yield part
            elif key == "Fn::GetAtt":
                yield part[0]
            elif key == "Fn::Sub":
                yield from _SUBSTITUTED.findall(part if isinstance(part, str) else part[0])
                yield from _references(part)
            elif key != "DependsOn":
                yield from _references(part)


def _without_dependencies(resource: Mapping[str, Any], missing: set[str]) -> dict[str, Any]:
    if "DependsOn" not in resource:
        return dict(resource)
    named = resource["DependsOn"]
    rest = [n for n in ([named] if isinstance(named, str) else named) if n not in missing]
    return {**resource, "DependsOn": rest}

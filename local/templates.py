"""Reads CloudFormation templates as plain values."""

from typing import Any, TypeAlias

import yaml

from operations import templates

Template: TypeAlias = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads the short forms (`!Ref x`) as what they stand for (`{"Ref": "x"}`)."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load(name: str) -> Template:
    """Read one of the pipeline's templates (`pipeline.yaml`)."""
    return parse(templates.text(name))


def parse(text: str) -> Template:
    """Read a template, the short forms of functions spelled out."""
    # A subclass of SafeLoader: it makes plain values only.
    template: Template = yaml.load(text, Loader=_Loader)  # noqa: S506
    return template

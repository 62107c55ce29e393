"""Reading templates."""

import pytest

from local import templates


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Queue", {"Ref": "Queue"}),
        ("!Condition Makes", {"Condition": "Makes"}),
        ("!GetAtt Queue.Arn", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ("!GetAtt Nested.Outputs.Url", {"Fn::GetAtt": ["Nested", "Outputs.Url"]}),
        ("!GetAtt [Queue, Arn]", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ('!Sub "${Queue}-x"', {"Fn::Sub": "${Queue}-x"}),
        (
            "!If [Makes, !Ref Queue, !Ref AWS::NoValue]",
            {"Fn::If": ["Makes", {"Ref": "Queue"}, {"Ref": "AWS::NoValue"}]},
        ),
    ],
)
def test_short_forms_are_spelled_out(text: str, value: object) -> None:
    assert templates.parse(f"Value: {text}") == {"Value": value}

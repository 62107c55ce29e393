"""Leaving out what the emulator refuses."""

from local import templates
from local.emulator import template

TEMPLATE = """
Resources:
  WorkGroup: {Type: AWS::Athena::WorkGroup}
  Query: {Type: AWS::Athena::NamedQuery}
  Scaling: {Type: AWS::ApplicationAutoScaling::ScalableTarget}
  RefersToQuery:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: !Ref Query}
  RefersToThat:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: !Sub "x-${RefersToQuery.TopicName}"}
  WaitsForQuery:
    Type: AWS::SNS::Topic
    DependsOn: [Query, WorkGroup]
  WaitsForQueryAlone:
    Type: AWS::SNS::Topic
    DependsOn: Query
  NamesIt:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: !Sub "${!Query} Query"}
Outputs:
  QueryId: {Value: !GetAtt Query.NamedQueryId}
  WorkGroup: {Value: !Ref WorkGroup}
"""


def test_unsupported_resources_go_and_so_does_what_refers_to_them() -> None:
    kept = template.for_emulator(templates.parse(TEMPLATE))
    assert set(kept["Resources"]) == {
        "WorkGroup",
        "WaitsForQuery",
        "WaitsForQueryAlone",
        "NamesIt",
    }
    assert set(kept["Outputs"]) == {"WorkGroup"}


def test_a_resource_that_only_waited_for_them_stays_and_waits_no_more() -> None:
    resources = template.for_emulator(templates.parse(TEMPLATE))["Resources"]
    assert resources["WaitsForQuery"]["DependsOn"] == ["WorkGroup"]
    assert resources["WaitsForQueryAlone"]["DependsOn"] == []


def test_of_the_pipeline_alarms_on_metric_math_go_and_nothing_else() -> None:
    pipeline = templates.load("pipeline.yaml")
    supported = {
        name: resource
        for name, resource in pipeline["Resources"].items()
        if "Metrics" not in resource.get("Properties", {})
    }
    assert len(supported) < len(pipeline["Resources"])
    assert template.for_emulator(pipeline) == {**pipeline, "Resources": supported}

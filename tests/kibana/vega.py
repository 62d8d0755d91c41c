"""What Kibana does with a Vega specification before Vega sees it: its tokens, its queries, their answers.

Source: Kibana, "Vega", "Query a data source", and the tokens of its Elasticsearch query parser.
"""

import copy
import re

import requests

from dashcam.event import parse_time


def queries(spec):
    """Each data set that is asked of Elasticsearch: its name and its `url`."""
    return [(data["name"], data["url"]) for data in spec["data"] if "url" in data]


def fill_tokens(value, period, context):
    """A body as Kibana sends it: time range and interval in, the dashboard's query and filters for the placeholders."""
    if isinstance(value, list):
        return [filled for item in value for filled in fill_item(item, period, context)]
    if not isinstance(value, dict):
        return value
    since, until = period
    match value:
        case {"%timefilter%": True}:
            return {"gte": since, "lte": until, "format": "strict_date_optional_time"}
        case {"%timefilter%": end}:
            return parse_time({"min": since, "max": until}[end]) // 1_000_000
        case {"%autointerval%": _}:
            return "1m"
    return {key: fill_tokens(item, period, context) for key, item in value.items()}


def fill_item(item, period, context):
    """What stands for one item of a list: a placeholder gives way to any number of conditions."""
    if isinstance(item, str) and (token := re.fullmatch("%dashboard_context-([a-z_]+)_clause%", item)):
        return context.get(token[1], [])
    return [fill_tokens(item, period, context)]


def with_answers(spec, settings, period, context):
    """The specification with the engine's answers in place of its queries; every answer must be whole."""
    spec = copy.deepcopy(spec)
    for data in spec["data"]:
        if "url" in data:
            url = data.pop("url")
            index = url["index"].replace("dashcam-*", f"dashcam-{settings.namespace}*")
            body = fill_tokens(url["body"], period, context)
            answer = requests.post(f"{settings.url}/{index}/_search", json=body, timeout=30)
            assert answer.status_code == 200, answer.text
            data["values"] = answer.json()
            assert data["values"]["_shards"]["failed"] == 0
            assert not data["values"]["timed_out"]
    return spec

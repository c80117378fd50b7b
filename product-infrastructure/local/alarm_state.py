"""The state of a CloudWatch alarm, from the values of its metrics.

Holds what the alarms of this project use: metric math with series and numbers, M out of N datapoints, and the treatment of
missing data. Anything else raises `Unsupported`: an alarm that is evaluated wrongly would be worse than one that isn't.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

import ast
import operator
import re

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COMPARISONS = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}
BREACHES = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


class Unsupported(Exception):
    """The alarm uses something that isn't known here."""


def _each(function, *values):
    """Applies a function to numbers and series. A series has a value only where all of them have one."""
    series = [value for value in values if isinstance(value, dict)]
    if not series:
        return function(*values)
    result = {}
    for index in set.intersection(*map(set, series)):
        try:
            result[index] = function(*(value[index] if isinstance(value, dict) else value for value in values))
        except ZeroDivisionError:
            pass
    return result


class _Expression:
    """One evaluation of metric math over `count` periods; a series maps a period's index to its value."""

    def __init__(self, count, value_of):
        self.count, self.value_of = count, value_of

    def evaluate(self, text):
        text = re.sub(r"\b(AND|OR)\b", lambda word: word[0].lower(), text)
        try:
            return self.node(ast.parse(text, mode="eval").body)
        except SyntaxError as error:
            raise Unsupported(text) from error

    def node(self, node):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.Name):
            return self.value_of(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return _each(OPERATORS[type(node.op)], self.node(node.left), self.node(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            compare = COMPARISONS[type(node.ops[0])]
            return _each(lambda *both: int(compare(*both)), self.node(node.left), self.node(node.comparators[0]))
        if isinstance(node, ast.BoolOp):
            holds = all if isinstance(node.op, ast.And) else any
            return _each(lambda *values: int(holds(values)), *map(self.node, node.values))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.call(node.func.id, node.args)
        raise Unsupported(ast.unparse(node))

    def call(self, name, arguments):
        if name == "SUM" and len(arguments) == 1 and isinstance(arguments[0], ast.List):
            return _each(lambda *values: sum(values), *map(self.node, arguments[0].elts))
        values = list(map(self.node, arguments))
        if name == "FILL" and len(values) == 2 and isinstance(values[0], dict):
            return {index: values[0].get(index, values[1]) for index in range(self.count)}
        if name == "DIFF" and len(values) == 1 and isinstance(values[0], dict):
            series = sorted(values[0].items())
            return {index: value - before for (_, before), (index, value) in zip(series, series[1:])}
        if name == "IF" and len(values) == 3 and isinstance(values[0], dict):
            chosen = {index: values[1 if condition else 2] for index, condition in values[0].items()}
            chosen = {index: value.get(index) if isinstance(value, dict) else value for index, value in chosen.items()}
            return {index: value for index, value in chosen.items() if value is not None}
        raise Unsupported(f"{name} with {len(arguments)} arguments")


def _metric(alarm):
    """An alarm on one metric, in the form of one of metric math."""
    return {
        "Id": "metric",
        "MetricStat": {
            "Metric": {name: alarm.get(name) for name in ("Namespace", "MetricName", "Dimensions")},
            "Period": alarm["Period"],
            "Stat": alarm.get("ExtendedStatistic") or alarm["Statistic"],
        },
    }


def queries_of(alarm):
    """The alarm's queries by ID, its period in seconds, and the ID of the query that is compared with the threshold."""
    queries = {query["Id"]: query for query in alarm.get("Metrics") or [_metric(alarm)]}
    periods = {int(query["MetricStat"]["Period"]) for query in queries.values() if "MetricStat" in query}
    # PutMetricAlarm returns data by default, so an alarm with one query doesn't say it.
    compared = [name for name, query in queries.items() if query.get("ReturnData", len(queries) == 1)]
    if len(periods) != 1 or len(compared) != 1:
        raise Unsupported(f"periods {sorted(periods)}, compared {compared}")
    return queries, periods.pop(), compared[0]


def state_of(alarm, values):
    """The alarm's state and the reason for it.

    `values(metric, statistic, period, count)` returns the metric's last `count` periods as a series: the newest complete
    period has the index `count - 1`, and a period without data has no entry.
    """
    queries, period, compared = queries_of(alarm)
    evaluated = int(alarm["EvaluationPeriods"])
    # A difference needs the value before.
    count = evaluated + 1

    def value_of(name):
        query = queries[name] if name in queries else None
        if query is None:
            raise Unsupported(name)
        if "MetricStat" in query:
            statistic = query["MetricStat"]
            return values(statistic["Metric"], statistic["Stat"], period, count)
        return _Expression(count, value_of).evaluate(query["Expression"])

    series = value_of(compared)
    if not isinstance(series, dict):
        raise Unsupported(f"{compared} is a number")
    newest = [series.get(index) for index in range(count - evaluated, count)]
    missing = alarm.get("TreatMissingData") or "missing"
    if alarm["ComparisonOperator"] not in BREACHES or missing not in ("missing", "notBreaching", "breaching", "ignore"):
        raise Unsupported(f"{alarm['ComparisonOperator']}, {missing}")
    threshold, breaches = float(alarm["Threshold"]), BREACHES[alarm["ComparisonOperator"]]
    if missing in ("missing", "ignore") and all(value is None for value in newest):
        state = alarm["StateValue"] if missing == "ignore" else "INSUFFICIENT_DATA"
        return state, "no datapoints were received"
    breaching = [missing == "breaching" if value is None else breaches(value, threshold) for value in newest]
    needed = int(alarm.get("DatapointsToAlarm") or evaluated)
    reason = f"{sum(breaching)} of {evaluated} datapoints {newest} breached the threshold ({alarm['Threshold']})"
    return ("ALARM" if sum(breaching) >= needed else "OK"), f"{reason}; {needed} are needed"

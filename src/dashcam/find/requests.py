"""Searches for served requests: the spans of those that ended, and the reports of those that were aborted."""

from dashcam.find.query import And, Exists, Not, Or, Term

ABORTED = Term("event.action", "request-aborted")
"""The reports of requests that were aborted."""

FINISHED = And(
    (
        Term("processor.event", "transaction"),
        Not(ABORTED),
        Or(
            (
                Not(Exists("span.kind")),
                Term("span.kind", "consumer"),
                Term("span.kind", "server"),
                Term("transaction.type", "job"),
            )
        ),
    )
)
"""The spans of served requests and of jobs that ended."""

WITHOUT_ROUTE = And((Not(Exists("http.route")), Not(Exists("http.request.method"))))
"""What is told apart by `transaction.name` alone: jobs, tasks of a queue, and others that no HTTP request began."""

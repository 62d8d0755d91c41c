"""Django by `dashcam.wsgi`: an ID and a span for each request, an error once, a stream to its end."""

import json

from ..processes import run

PROGRAM = """
import json, logging
import django
from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
import dashcam

settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
log = dashcam.get_logger("garage")

def car(request, name):
    log.info("shows a car", car=name)
    dashcam.add(car=name)
    return JsonResponse({"request": dashcam.request_id()})

def fail(request):
    raise ValueError("no wheel")

def stream(request):
    def parts():
        for number in range(3):
            logging.getLogger("parts").warning("sends")
            yield b"part"
    return StreamingHttpResponse(parts())

def end(request):
    raise SystemExit(1)

urlpatterns = [path("cars/<name>", car), path("fail", fail), path("stream", stream), path("end", end)]
from django.core.wsgi import get_wsgi_application
application = dashcam.wsgi(get_wsgi_application(), "garage")

from werkzeug.test import Client
client = Client(application)
answers = {}
for name, method, address in CALLS:
    try:
        response = client.open(address, method=method, headers={"X-Request-ID": name}, buffered=True)
        text = response.get_data(as_text=True)
        answers[name] = [response.status_code, response.headers.getlist("X-Request-ID"), text]
    except BaseException as error:
        answers[name] = repr(error)
print(json.dumps(answers))
"""
CALLS = [
    ("car", "POST", "/cars/golf?limit=2"),
    ("nowhere", "GET", "/nowhere"),
    ("fail", "GET", "/fail"),
    ("stream", "GET", "/stream"),
    ("end", "GET", "/end"),
    ("head", "HEAD", "/cars/golf"),
]


def test_django(recording):
    """Each request is told as it was."""
    answers = json.loads(
        run(f"CALLS = {CALLS!r}\n{PROGRAM}", env=recording.environment).splitlines()[-1],
    )

    assert answers["car"] == [200, ["car"], '{"request": "car"}']
    assert (answers["stream"][0], answers["stream"][2]) == (200, "partpartpart")
    assert answers["end"] == "SystemExit(1)"
    events = recording.events()
    spans = {event.get("http.request.id"): event for event in events if event.is_span}
    outcomes = {
        name: (span.get("http.response.status_code"), span.get("event.outcome")) for name, span in spans.items()
    }
    assert outcomes == {
        "car": (200, "success"),
        "nowhere": (404, "success"),
        "fail": (500, "failure"),
        "stream": (200, "success"),
        "end": (None, "failure"),
        "head": (200, "success"),
    }
    assert spans["car"].labels == {"car": "golf"}
    assert spans["stream"].get("http.response.body.bytes") == 12
    assert spans["head"].get("http.response.body.bytes") == 0
    errors = [(e.get("http.request.id"), e.get("error.type")) for e in events if e.get("error.stack_trace")]
    assert errors == [("fail", "ValueError"), ("end", "SystemExit")]
    said = {event.get("message"): event.labels for event in events}
    assert said["Internal Server Error: /fail"] == {"status_code": 500}  # without `request`
    sent = [event for event in events if event.get("message") == "sends"]
    assert {event.get("span.id") for event in sent} == {spans["stream"].get("span.id")}

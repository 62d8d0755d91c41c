"""A Django service in one file that records its requests: `dashcam run -- gunicorn garage_django`.

As ASGI: `dashcam run -- uvicorn garage_django:asgi_application`.
"""

import dashcam
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

log = dashcam.get_logger(__name__)


def repair(request, car_id):
    dashcam.add(car_id=car_id)
    log.info("repair started", bay="north")
    if car_id == 13:
        raise RuntimeError("no lift is free")
    return JsonResponse({"state": "started"})


urlpatterns = [path("repairs/<int:car_id>", repair)]
settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__)

# In a project of your own: the last line of wsgi.py, of asgi.py.
application = dashcam.wsgi(get_wsgi_application(), "garage")
asgi_application = dashcam.asgi(get_asgi_application(), "garage")

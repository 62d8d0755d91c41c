"""How the services are served: `gunicorn -c python:chassis.gunicorn_conf 'cars.app:create_app()'`.

gunicorn itself reads `PORT` and `WEB_CONCURRENCY` from the environment.
"""

worker_class = "gthread"  # a request mostly waits, for PostgreSQL or for parts
threads = 8
keepalive = 75  # seconds; longer than a caller's pool keeps a connection
timeout = 30  # seconds; three times a request's deadline: whoever takes longer hangs
graceful_timeout = 20

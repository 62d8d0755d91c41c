#!/bin/sh
# Makes one car and waits until its story is found: first-request.sh docker compose [options]
set -eu

port=$(sed -n 's/^CARS_PORT=//p' .env)
address=http://127.0.0.1:${port:-8000}
request_id=first-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
backend=$(sed -n 's/^LOG_BACKEND=//p' .env)

"$@" exec -T shipper python -c '
import sys, urllib.request
request = urllib.request.Request("http://proxy:8080/cars", b"{\"name\": \"VW Golf\"}",
                                 {"Content-Type": "application/json", "X-Request-ID": sys.argv[1]})
print(urllib.request.urlopen(request, timeout=20).status)' "$request_id" > /dev/null

case $backend in
  stdout*)
    echo "cars answers at $address; request $request_id is in: docker compose logs shipper"
    exit ;;
esac

tries=60
until story=$("$@" exec -T shipper dashcam trace "$request_id" 2>&1); do
  tries=$((tries - 1))
  if [ $tries -eq 0 ]; then
    echo "$story" >&2
    "$@" exec -T shipper dashcam status >&2 || true
    echo "request $request_id is not found yet: docker compose exec shipper dashcam doctor" >&2
    exit 1
  fi
  sleep 1
done
printf '%s\n\n' "$story"
echo "cars answers at $address; the story above is: docker compose exec shipper dashcam trace $request_id"
case ,$backend, in
  *,elk,* | *,elasticsearch,*)
    kibana=$(sed -n 's/^KIBANA_URL=//p' .env)
    echo "Kibana: ${kibana:-http://127.0.0.1:5601}, user elastic, password ELASTIC_PASSWORD in .env;"
    echo "open the dashboard \"Dashcam: request story\" and search for http.request.id:\"$request_id\"" ;;
esac

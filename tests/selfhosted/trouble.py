"""A cluster under load, played by a few lines between a client and a real engine."""

from itertools import cycle

import orjson
import requests


class Trouble:
    """Passes requests on to an engine; bulk requests meet in turn what a cluster under load does to them."""

    FATES = ("429", "503", "lost answer", "half", "passed on", "passed on")

    def __init__(self, engine_url):
        self.engine_url = engine_url
        self._fates = cycle(self.FATES)
        self._session = requests.Session()

    def close(self):
        self._session.close()

    def answer(self, asked):
        match next(self._fates) if asked.path == "/_bulk" else "passed on":
            case "429" | "503" as status:
                return self._refuse(int(status))
            case "lost answer":
                self._pass_on(asked)
                return self._refuse(502)
            case "half":
                return self._take_half(asked)
        return self._pass_on(asked)

    @staticmethod
    def _refuse(status):
        return status, {"error": {"type": "unlucky", "reason": "try again"}, "status": status}

    def _take_half(self, asked):
        """Every second event is taken, the others are refused for now."""
        lines = asked.body.split(b"\n")[:-1]
        pairs = [b"%b\n%b\n" % pair for pair in zip(lines[::2], lines[1::2], strict=True)]
        status, body = self._pass_on(asked._replace(body=b"".join(pairs[::2])))
        taken = iter(orjson.loads(body)["items"]) if status == 200 else iter(())
        busy = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}}
        return status, {"items": [busy if place % 2 else next(taken, busy) for place in range(len(pairs))]}

    def _pass_on(self, asked):
        url, headers = self.engine_url + asked.path, {"Content-Type": asked.headers.get("Content-Type", "")}
        try:
            answer = self._session.request(
                asked.method, url, params=asked.params, data=asked.body, headers=headers, timeout=60
            )
        except requests.ConnectionError:
            return self._refuse(502)
        return answer.status_code, answer.content

#!/usr/bin/python3
"""The stand-in for Kibana: reads its file and variables, logs in at Elasticsearch, and takes saved objects."""

import json
import os
import re
from base64 import b64encode
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

CONFIGURATION = Path("/usr/share/kibana/config/kibana.yml").read_text()
KEY = os.environ["XPACK_ENCRYPTEDSAVEDOBJECTS_ENCRYPTIONKEY"]


def setting(name):
    return re.search(rf"^{name}: (.*)$", CONFIGURATION, re.MULTILINE)[1].strip('[]"')


def is_available():
    """Whether Elasticsearch lets in whom the file names, with the password of the environment."""
    who = b64encode(f"{setting('elasticsearch.username')}:{os.environ['ELASTICSEARCH_PASSWORD']}".encode()).decode()
    address = f"{setting('elasticsearch.hosts')}/_security/_authenticate"
    try:
        with urlopen(Request(address, headers={"Authorization": f"Basic {who}"}), timeout=5) as answer:
            return json.load(answer)["username"] == "kibana_system" and len(KEY) >= 32
    except (URLError, OSError):
        return False


class Kibana(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path == "/api/status":
            level = "available" if is_available() else "unavailable"
            self.answer(200 if level == "available" else 503, {"status": {"overall": {"level": level}}})
        else:
            self.answer(200, {"settings": {}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not (self.headers.get("kbn-xsrf") and self.headers.get("Authorization")):
            self.answer(401, {"statusCode": 401, "error": "Unauthorized", "message": "Unauthorized"})
            return
        kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        [file] = message_from_bytes(kind + body).get_payload()
        objects = [json.loads(line) for line in file.get_payload(decode=True).splitlines() if line]
        done = all(each["type"] and each["id"] and each["attributes"] for each in objects)
        self.answer(200, {"success": done, "successCount": len(objects)})


ThreadingHTTPServer((setting("server.host"), 5601), Kibana).serve_forever()

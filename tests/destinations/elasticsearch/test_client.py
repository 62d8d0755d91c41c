"""Talking to Elasticsearch: who is told what, and what is said when it does not answer."""

import base64
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
import trustme

from dashcam.destinations.elasticsearch.client import Client, Product, Response
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import SettingsError, StoreUnreachable
from dashcam.settings import load

from ...ports import free_port
from ...scripted import scripted


@contextmanager
def connected(url, **environment):
    client = Client(load(Options, {"ELASTICSEARCH_URL": url, **environment}))
    yield client
    client.close()


def ok(_asked):
    return 200, {"fine": True}


def authorization(userinfo="", **environment):
    with scripted(ok) as (url, asked), connected(url.replace("//", f"//{userinfo}"), **environment) as client:
        client.ask("GET", "/")
    return asked[0].headers.get("Authorization")


def test_a_key_is_sent_as_it_is():
    """In the encoded form, as it was given out."""
    assert authorization(ELASTICSEARCH_API_KEY="YTpi") == "ApiKey YTpi"


def test_a_user_is_sent_in_utf8():
    """Percent signs in the address stand for what an address cannot hold."""
    assert authorization("el%40stic:p%C3%A4ss@") == "Basic " + base64.b64encode("el@stic:päss".encode()).decode()


def test_a_key_goes_before_a_user():
    """It has fewer rights."""
    assert authorization("elastic:pass@", ELASTICSEARCH_API_KEY="YTpi") == "ApiKey YTpi"


def test_nobody_is_taken_from_a_file(tmp_path, monkeypatch):
    """A password that somebody keeps in ~/.netrc for another program is nobody's business here."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    assert authorization() is None


def test_a_path_in_front_is_kept():
    """A proxy may have the engine under a path of its own."""
    with scripted(ok) as (url, asked), connected(f"{url}/search/") as client:
        client.ask("GET", "/_bulk")

    assert asked[0].path == "/search/_bulk"


def test_threads_have_clients_of_their_own():
    """Two requests at once do not wait for each other, and both end."""
    both = threading.Barrier(2, timeout=10)

    def answer(asked):
        both.wait()
        return ok(asked)

    with scripted(answer) as (url, asked), connected(url) as client:
        threads = [threading.Thread(target=client.ask, args=("GET", "/")) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(asked) == 2


@pytest.mark.parametrize(
    ("banner", "product", "name"),
    [
        ({"number": "9.5.3"}, Product(is_opensearch=False, version=(9, 5)), "Elasticsearch 9.5"),
        ({"number": "8.14.0-SNAPSHOT"}, Product(is_opensearch=False, version=(8, 14)), "Elasticsearch 8.14"),
        (
            {"number": "3.8.0", "distribution": "opensearch"},
            Product(is_opensearch=True, version=(3, 8)),
            "OpenSearch 3.8",
        ),
    ],
)
def test_products_and_versions(banner, product, name):
    """OpenSearch names itself; everything else with a version is Elasticsearch."""
    with scripted(lambda _: (200, {"version": banner})) as (url, _), connected(url) as client:
        found = client.product()

    assert found == product
    assert str(found) == name


@pytest.mark.parametrize("body", [{}, [], "x", {"version": "9"}, {"version": {"number": None}}, {"version": {}}])
def test_no_product(body):
    """Whatever else answers JSON at the address."""
    with (
        scripted(lambda _: (200, body)) as (url, _),
        connected(url) as client,
        pytest.raises(StoreUnreachable, match="neither Elasticsearch nor OpenSearch"),
    ):
        client.product()


def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def ca(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def test_an_authority_of_ones_own(authority, ca, monkeypatch):
    """The one in the settings, whatever another program set for itself."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    tls = server_tls(authority.issue_cert("127.0.0.1"))

    with scripted(ok, tls) as (url, _), connected(url, ELASTICSEARCH_CA=ca) as client:
        assert client.ask("GET", "/").is_ok


@pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
def test_a_certificate_that_is_not_trusted(name, authority, ca):
    """Of an unknown authority, or for another host."""
    tls = server_tls(authority.issue_cert(name))
    given = {} if name == "127.0.0.1" else {"ELASTICSEARCH_CA": ca}

    with (
        scripted(ok, tls) as (url, asked),
        connected(url, **given) as client,
        pytest.raises(StoreUnreachable, match=r"certificate that is not trusted.*ELASTICSEARCH_CA"),
    ):
        client.ask("GET", "/")

    assert asked == []


def test_http_where_https_is_spoken(authority):
    """The address is wrong by one letter."""
    tls = server_tls(authority.issue_cert("127.0.0.1"))

    with (
        scripted(ok, tls) as (url, _),
        connected(url.replace("https", "http")) as client,
        pytest.raises(StoreUnreachable, match="cannot be reached"),
    ):
        client.ask("GET", "/")


def test_nobody_listens():
    """The operating system's own words."""
    url = f"http://me:secret@127.0.0.1:{free_port()}"
    text = r"http://127\.0\.0\.1:\d+ cannot be reached: .*refused"

    with connected(url) as client, pytest.raises(StoreUnreachable, match=text) as raised:
        client.ask("GET", "/")

    assert "secret" not in str(raised.value)


def test_a_client_that_is_cut():
    """In the midst of the answer."""

    def cut(server):
        client, _ = server.accept()
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=cut, args=[server])
        thread.start()
        with connected(f"http://127.0.0.1:{server.getsockname()[1]}") as client, pytest.raises(StoreUnreachable):
            client.ask("GET", "/")
        thread.join()


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel"])
def test_a_key_that_is_none(key):
    """It cannot be a header, and is not shown."""
    with pytest.raises(SettingsError, match=r"^ELASTICSEARCH_API_KEY='\*\*\*' cannot be used"):
        Client(Options(api_key=key))


def explained(status, body=None, headers=None, **environment):
    with connected("http://127.0.0.1:9200", **environment) as client:
        return client.explain(Response(status, body, headers or {}), "create_doc")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((401, {}), "it needs credentials; set ELASTICSEARCH_API_KEY"),
        ((403, {"error": {"type": "security_exception", "reason": "no"}}), "someone without a key may not do this."),
        ((403, {"error": {"type": "cluster_block_exception", "reason": "FORBIDDEN/8"}}), "it is blocked"),
        ((302, None, {"Location": "https://login"}), "a redirect to https://login: check ELASTICSEARCH_URL"),
        ((502, None), "something that is not JSON"),
        ((400, {"error": "plain text"}), "answered 400: plain text"),
        ((400, {"error": {"type": "t", "reason": "r\n" * 2000}}), "answered 400: t: r r"),
        ((500, {}), "answered 500: without a reason"),
    ],
)
def test_answers_are_explained(answer, text):
    """What was seen, and what to do."""
    sentence = explained(*answer)

    assert text in sentence
    assert sentence.startswith("http://127.0.0.1:9200 answered ")
    assert len(sentence) < 700

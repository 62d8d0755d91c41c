"""The options of the route `elk`: for fluentd, and for the engine where its events are searched."""

from dataclasses import dataclass
from pathlib import Path

from dashcam.destinations.elasticsearch.options import Options as ElasticsearchOptions
from dashcam.settings import Address, Secret, read_address, read_file, setting


def _read_forward(value: str) -> tuple[Address, ...]:
    schemes = ("forward", "forward+tls")
    return tuple(read_address(part.strip(), schemes) for part in value.split(","))


@dataclass(frozen=True, slots=True)
class Options(ElasticsearchOptions):
    """The addresses of fluentd, and the credentials of its `<security>`."""

    fluentd_urls: tuple[Address, ...] = setting(
        "FLUENTD_URL",
        "forward://127.0.0.1:24224",
        _read_forward,
        "fluentd: forward:// or forward+tls://, with user:password@ if needed; several with commas for failover.",
    )
    shared_key: Secret = setting("FLUENTD_SHARED_KEY", "", Secret, "The shared key of fluentd's <security> section.")
    fluentd_ca: Path | None = setting("FLUENTD_CA", "", read_file, "A PEM file with the CA of fluentd's certificate.")

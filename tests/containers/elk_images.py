"""Images by the names that the ELK file uses, where no registry is reached.

They are stand-ins: Elasticsearch is the jars of its server, its HTTP server and its users, Kibana takes what is sent
to it, and fluentd is made of gems, which no index that is asked here has: FLUENTD_GEMS names their folder.
"""

import os
import re
import shutil
from pathlib import Path

from ..engines import engine as engines
from ..engines import jars
from .base_images import ROOT, import_image
from .debian import CACHE, HERE, Unavailable, add_packages, derived, run_in
from .engine import Engine

TEXTS = [(ROOT / name).read_text() for name in ("docker-compose.elk.yml", "logging/fluentd/Dockerfile")]
ELK_IMAGES = {
    name for text in TEXTS for name in re.findall(r"(?:image:|FROM) (\S+:\S+)", text) if "logstash" not in name
}
RUBY = "ruby ruby-dev gcc make libc6-dev tini" + "".join(
    f" ruby-{name}"
    for name in (
        *("cool.io", "excon", "faraday", "faraday-net-http", "http-parser.rb", "msgpack", "multi-json", "oj"),
        *("sigdump", "strptime", "tzinfo", "webrick", "yajl"),
    )
)
OF_THE_IMAGE = ("fluentd", "serverengine", "zstd-ruby", "elastic-transport", "elasticsearch-api", "faraday-excon")


def _elasticsearch(engine: Engine, name: str) -> None:
    changes = ('ENTRYPOINT ["/bin/tini", "--", "/usr/local/bin/docker-entrypoint.sh"]', 'CMD ["eswrapper"]')
    import_image(
        engine, name, derived("elasticsearch", _add_elasticsearch), "WORKDIR /usr/share/elasticsearch", *changes
    )


def _add_elasticsearch(folder: Path) -> None:
    add_packages(folder, "tini")
    home, cache = folder / "usr/share/elasticsearch", CACHE / "jars"
    cache.mkdir(exist_ok=True)
    command = engines.elasticsearch_with_users_command(cache, home)
    engines.add_plugin(cache, home / "plugins" / "streams", "StreamsPlugin")
    for part in command[command.index("-cp") + 1].split(":"):
        if Path(part).is_dir():
            shutil.copytree(part, home / "start", dirs_exist_ok=True)
        else:
            (home / "lib").mkdir(exist_ok=True)
            shutil.copy(part, home / "lib")
    shutil.copytree(Path(jars.java()).parents[1], home / "jdk", symlinks=True)
    _add_program(folder, "elasticsearch-entrypoint.sh", "docker-entrypoint.sh")
    run_in(folder, "cd /usr/share/elasticsearch; mkdir config data; chown -R 1000:0 .")


def _kibana(engine: Engine, name: str) -> None:
    import_image(engine, name, derived("kibana", _add_kibana))


def _add_kibana(folder: Path) -> None:
    add_packages(folder, "tini")
    _add_program(folder, "kibana.py", "kibana-docker")
    run_in(folder, "mkdir -p /usr/share/kibana/config /usr/share/kibana/data; chown -R 1000:0 /usr/share/kibana")


def _add_program(folder: Path, source: str, name: str) -> None:
    target = folder / "usr/local/bin" / name
    shutil.copy(HERE / source, target)
    target.chmod(0o755)


def _fluentd(engine: Engine, name: str) -> None:
    if not os.environ.get("FLUENTD_GEMS"):
        raise Unavailable(
            f"needs the image {name} of a registry, or FLUENTD_GEMS, a folder with the gems it is made of"
        )
    import_image(engine, name, derived("fluentd", _add_fluentd), "WORKDIR /gems", 'ENTRYPOINT ["tini", "--"]')


def _add_fluentd(folder: Path) -> None:
    add_packages(folder, RUBY)
    shutil.copytree(os.environ["FLUENTD_GEMS"], folder / "gems")
    (folder / "etc/gemrc").write_text("install: --local\n")
    run_in(folder, "cd /gems; for name in " + " ".join(OF_THE_IMAGE) + "; do gem install --no-document $name; done")


ELK_RECIPES = {
    "docker.elastic.co/elasticsearch/": _elasticsearch,
    "docker.elastic.co/kibana/": _kibana,
    "fluent/fluentd:": _fluentd,
}

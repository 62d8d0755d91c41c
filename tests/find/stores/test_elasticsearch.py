"""The Elasticsearch store: the suite of all stores on both real engines, and answers no engine gives on demand."""

import pytest

from dashcam.find.stores.elasticsearch import open_store
from dashcam.ship.backends.elasticsearch import connect

from ...engines.streams import documents, new_namespace, set_up, settings_for
from .contract import StoreContract


class EngineContract(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, url):
        stores = []

        def filled(lines):
            settings = settings_for(url, new_namespace())
            set_up(settings)
            backend = connect(settings)
            assert backend.ship(lines) is None
            backend.close()
            documents(settings)
            stores.append(open_store(settings))
            return stores[-1]

        yield filled
        for store in stores:
            store.close()


class TestElasticsearch(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, elasticsearch_url):
        return elasticsearch_url


class TestOpenSearch(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, opensearch_url):
        return opensearch_url

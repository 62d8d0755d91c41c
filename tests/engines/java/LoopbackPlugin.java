import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.common.util.PageCacheRecycler;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.http.HttpPreRequest;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.indices.breaker.CircuitBreakerService;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.NetworkPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.telemetry.TelemetryProvider;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.BytesRefRecycler;
import org.elasticsearch.transport.Transport;
import org.elasticsearch.xcontent.NamedXContentRegistry;

/** What a node of Elasticsearch's server jar alone lacks to be talked to: HTTP, a transport, and {@code GET /}. */
public final class LoopbackPlugin extends Plugin implements NetworkPlugin, ActionPlugin {
    @Override
    public Map<String, Supplier<HttpServerTransport>> getHttpTransports(Settings settings, ThreadPool threads, BigArrays arrays,
            PageCacheRecycler pages, CircuitBreakerService breakers, NamedXContentRegistry content, NetworkService network,
            HttpServerTransport.Dispatcher dispatcher, BiConsumer<HttpPreRequest, ThreadContext> context,
            ClusterSettings cluster, TelemetryProvider telemetry) {
        return Map.of("loopback", () -> new LoopbackHttp(
            settings, network, new BytesRefRecycler(pages), threads, content, dispatcher, cluster, telemetry, context));
    }

    @Override
    public Map<String, Supplier<Transport>> getTransports(Settings settings, ThreadPool threads, PageCacheRecycler pages,
            CircuitBreakerService breakers, NamedWriteableRegistry registry, NetworkService network) {
        return Map.of("loopback", () -> new LonelyTransport(new BytesRefRecycler(pages)));
    }

    @Override
    public List<RestHandler> getRestHandlers(RestHandlersServices services, Supplier<DiscoveryNodes> nodes,
            Predicate<NodeFeature> features) {
        return List.of(new Banner());
    }
}

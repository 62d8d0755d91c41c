import java.nio.file.Files;
import java.nio.file.Path;
import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.http.HttpServerTransport;

/**
 * One OpenSearch node in the folder HOME, on a free port of 127.0.0.1 that it writes to HOME/port once it answers.
 * It ends on SIGTERM, and with the process that holds its standard input.
 */
public final class StartOpenSearch {
    /** The runner's modules without CommonAnalysis: its Thai analyzer needs more of Java than a runtime in a wheel has. */
    private static final String MODULES = String.join(",",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        "org.opensearch.transport.Netty4ModulePlugin");

    public static void main(String[] arguments) throws Exception {
        Thread holder = Holder.watched();
        Path home = Path.of(arguments[0]);
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> settings
            .put("network.host", "127.0.0.1")
            .put("http.port", "0")
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false));
        runner.build(OpenSearchRunner.newConfigs()
            .numOfNode(1).clusterName("test").basePath(home.resolve("node").toString()).moduleTypes(MODULES));
        int port = runner.node().injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        Files.move(Files.writeString(home.resolve("port.new"), "" + port), home.resolve("port"));
        holder.join();
    }
}

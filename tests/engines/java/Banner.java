import java.util.List;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** {@code GET /}, where a client reads the version. */
final class Banner extends BaseRestHandler {
    private static final String TEXT = """
        {"name":"test","cluster_name":"test","version":{"number":"%s"},"tagline":"You Know, for Search"}
        """.formatted(Build.current().version());

    @Override
    public String getName() {
        return "banner";
    }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, "application/json", TEXT));
    }
}

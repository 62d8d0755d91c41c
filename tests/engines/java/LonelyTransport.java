import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.cluster.node.DiscoveryNode;
import org.elasticsearch.common.breaker.CircuitBreaker;
import org.elasticsearch.common.component.AbstractLifecycleComponent;
import org.elasticsearch.common.io.stream.RecyclerBytesStreamOutput;
import org.elasticsearch.common.transport.BoundTransportAddress;
import org.elasticsearch.common.transport.TransportAddress;
import org.elasticsearch.transport.BytesRefRecycler;
import org.elasticsearch.transport.ConnectTransportException;
import org.elasticsearch.transport.ConnectionProfile;
import org.elasticsearch.transport.Transport;
import org.elasticsearch.transport.TransportMessageListener;
import org.elasticsearch.transport.TransportStats;

/** The transport of a node that is alone: it listens nowhere and reaches nobody. */
final class LonelyTransport extends AbstractLifecycleComponent implements Transport {
    private static final TransportAddress NOWHERE = new TransportAddress(InetAddress.getLoopbackAddress(), 9300);

    private final ResponseHandlers responses = new ResponseHandlers();
    private final RequestHandlers requests = new RequestHandlers();
    private final BytesRefRecycler recycler;

    LonelyTransport(BytesRefRecycler recycler) {
        this.recycler = recycler;
    }

    @Override
    public void openConnection(DiscoveryNode node, ConnectionProfile profile, ActionListener<Connection> listener) {
        listener.onFailure(new ConnectTransportException(node, "this node is alone"));
    }

    @Override
    public BoundTransportAddress boundAddress() {
        return new BoundTransportAddress(new TransportAddress[] { NOWHERE }, NOWHERE);
    }

    @Override
    public BoundTransportAddress boundRemoteIngressAddress() {
        return boundAddress();
    }

    @Override
    public Map<String, BoundTransportAddress> profileBoundAddresses() {
        return Map.of();
    }

    @Override
    public TransportAddress[] addressesFromString(String text) {
        return new TransportAddress[] { NOWHERE };
    }

    @Override
    public List<String> getDefaultSeedAddresses() {
        return List.of();
    }

    @Override
    public TransportStats getStats() {
        return new TransportStats(0, 0, 0, 0, 0, 0, new long[30], new long[30], Map.of());
    }

    @Override
    public ResponseHandlers getResponseHandlers() {
        return responses;
    }

    @Override
    public RequestHandlers getRequestHandlers() {
        return requests;
    }

    @Override
    public RecyclerBytesStreamOutput newNetworkBytesStream(CircuitBreaker breaker) {
        return new RecyclerBytesStreamOutput(recycler);
    }

    @Override
    public void setMessageListener(TransportMessageListener listener) {}

    @Override
    protected void doStart() {}

    @Override
    protected void doStop() {}

    @Override
    protected void doClose() {}
}

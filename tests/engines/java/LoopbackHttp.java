import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.BiConsumer;
import java.util.zip.GZIPInputStream;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.support.PlainActionFuture;
import org.elasticsearch.common.bytes.BytesArray;
import org.elasticsearch.common.bytes.BytesReference;
import org.elasticsearch.common.bytes.ReleasableBytesReference;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.http.AbstractHttpServerTransport;
import org.elasticsearch.http.HttpBody;
import org.elasticsearch.http.HttpChannel;
import org.elasticsearch.http.HttpPreRequest;
import org.elasticsearch.http.HttpRequest;
import org.elasticsearch.http.HttpResponse;
import org.elasticsearch.http.HttpServerChannel;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.rest.ChunkedRestResponseBodyPart;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.telemetry.TelemetryProvider;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.BytesRefRecycler;
import org.elasticsearch.xcontent.NamedXContentRegistry;

/** The JDK's HTTP server in front of Elasticsearch's own REST controller; one thread holds one request. */
final class LoopbackHttp extends AbstractHttpServerTransport {
    private static final int AT_ONCE = 16;
    private static final int BACKLOG = 128;
    private static final int CHUNK_BYTES = 64 * 1024;

    private final BytesRefRecycler recycler;
    private final BiConsumer<HttpPreRequest, ThreadContext> context;

    LoopbackHttp(Settings settings, NetworkService network, BytesRefRecycler recycler, ThreadPool threads,
            NamedXContentRegistry content, Dispatcher dispatcher, ClusterSettings cluster, TelemetryProvider telemetry,
            BiConsumer<HttpPreRequest, ThreadContext> context) {
        super(settings, network, recycler, threads, content, dispatcher, cluster, telemetry);
        this.recycler = recycler;
        this.context = context;
    }

    @Override
    protected HttpServerChannel bind(InetSocketAddress address) throws IOException {
        HttpServer server = HttpServer.create(address, BACKLOG);
        ExecutorService workers = Executors.newFixedThreadPool(AT_ONCE);
        server.setExecutor(workers);
        server.createContext("/", this::serve);
        server.start();
        return new Door(server, workers);
    }

    private void serve(HttpExchange exchange) throws IOException {
        Conversation conversation = new Conversation(exchange, recycler);
        serverAcceptedChannel(conversation);
        incomingRequest(Question.read(exchange), conversation);
        conversation.awaitEnd();
    }

    @Override
    protected void startInternal() {
        bindServer();
    }

    @Override
    protected void stopInternal() {}

    @Override
    protected void populatePerRequestThreadContext(RestRequest request, ThreadContext threadContext) {
        context.accept(request.getHttpRequest(), threadContext);
    }

    /** What has an end that listeners are told of; one that comes late is told at once, as the node's stop does. */
    private abstract static class Closing {
        final CompletableFuture<Void> end = new CompletableFuture<>();

        public void addCloseListener(ActionListener<Void> listener) {
            end.thenRun(() -> listener.onResponse(null));
        }

        public boolean isOpen() {
            return !end.isDone();
        }

        public void close() {
            end.complete(null);
        }
    }

    private static final class Door extends Closing implements HttpServerChannel {
        private final HttpServer server;
        private final ExecutorService workers;

        Door(HttpServer server, ExecutorService workers) {
            this.server = server;
            this.workers = workers;
        }

        @Override
        public InetSocketAddress getLocalAddress() {
            return server.getAddress();
        }

        @Override
        public void close() {
            server.stop(0);
            workers.shutdownNow();
            super.close();
        }
    }

    private static final class Question implements HttpRequest {
        private final HttpExchange exchange;
        private final Map<String, List<String>> headers;
        private HttpBody body;

        private Question(HttpExchange exchange, Map<String, List<String>> headers, HttpBody body) {
            this.exchange = exchange;
            this.headers = headers;
            this.body = body;
        }

        static Question read(HttpExchange exchange) throws IOException {
            Map<String, List<String>> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
            exchange.getRequestHeaders().forEach(headers::put);
            headers.remove("Connection");
            boolean isZipped = headers.remove("Content-Encoding") != null;
            InputStream raw = exchange.getRequestBody();
            byte[] bytes = (isZipped ? new GZIPInputStream(raw) : raw).readAllBytes();
            HttpBody body = bytes.length == 0 ? HttpBody.empty() : HttpBody.fromBytesReference(new BytesArray(bytes));
            return new Question(exchange, headers, body);
        }

        @Override public RestRequest.Method method() { return RestRequest.Method.valueOf(exchange.getRequestMethod()); }
        @Override public String uri() { return exchange.getRequestURI().toString(); }
        @Override public Map<String, List<String>> getHeaders() { return headers; }
        @Override public HttpBody body() { return body; }
        @Override public void setBody(HttpBody other) { body = other; }
        @Override public List<String> strictCookies() { return List.of(); }
        @Override public HttpVersion protocolVersion() { return HttpVersion.HTTP_1_1; }
        @Override public HttpRequest removeHeader(String name) { headers.remove(name); return this; }
        @Override public boolean hasContent() { return !body.isEmpty(); }
        @Override public Exception getInboundException() { return null; }
        @Override public void release() {}

        @Override
        public HttpResponse createResponse(RestStatus status, BytesReference whole) {
            return new Answer(status, whole, null, new TreeMap<>(String.CASE_INSENSITIVE_ORDER));
        }

        @Override
        public HttpResponse createResponse(RestStatus status, ChunkedRestResponseBodyPart first) {
            return new Answer(status, null, first, new TreeMap<>(String.CASE_INSENSITIVE_ORDER));
        }
    }

    /** An answer that is there as a whole, or in parts that are encoded while they are read. */
    private record Answer(RestStatus status, BytesReference whole, ChunkedRestResponseBodyPart first,
            Map<String, List<String>> headers) implements HttpResponse {
        @Override
        public void addHeader(String name, String value) {
            headers.computeIfAbsent(name, key -> new ArrayList<>()).add(value);
        }

        @Override
        public boolean containsHeader(String name) {
            return headers.containsKey(name);
        }

        byte[] bytes(BytesRefRecycler recycler) throws IOException {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            if (whole != null) whole.writeTo(out);
            for (ChunkedRestResponseBodyPart part = first; part != null; part = after(part)) {
                while (!part.isPartComplete()) {
                    try (ReleasableBytesReference chunk = part.encodeChunk(CHUNK_BYTES, recycler)) {
                        chunk.writeTo(out);
                    }
                }
            }
            return out.toByteArray();
        }

        private static ChunkedRestResponseBodyPart after(ChunkedRestResponseBodyPart part) {
            if (part.isLastPart()) return null;
            PlainActionFuture<ChunkedRestResponseBodyPart> next = new PlainActionFuture<>();
            part.getNextPart(next);
            return next.actionGet();
        }
    }

    private static final class Conversation extends Closing implements HttpChannel {
        private final HttpExchange exchange;
        private final BytesRefRecycler recycler;

        Conversation(HttpExchange exchange, BytesRefRecycler recycler) {
            this.exchange = exchange;
            this.recycler = recycler;
        }

        void awaitEnd() {
            end.join();
        }

        @Override
        public void sendResponse(HttpResponse response, ActionListener<Void> listener) {
            try {
                send((Answer) response);
                listener.onResponse(null);
            } catch (Exception broken) {
                listener.onFailure(broken);
            } finally {
                exchange.close();
                close();
            }
        }

        private void send(Answer answer) throws IOException {
            byte[] bytes = answer.bytes(recycler);
            exchange.getResponseHeaders().putAll(answer.headers());
            // These two are the JDK's server's own to set.
            exchange.getResponseHeaders().remove("Content-Length");
            exchange.getResponseHeaders().remove("Transfer-Encoding");
            boolean isEmpty = bytes.length == 0 || exchange.getRequestMethod().equals("HEAD");
            exchange.sendResponseHeaders(answer.status().getStatus(), isEmpty ? -1 : bytes.length);
            if (!isEmpty) exchange.getResponseBody().write(bytes);
        }

        @Override
        public InetSocketAddress getLocalAddress() {
            return exchange.getLocalAddress();
        }

        @Override
        public InetSocketAddress getRemoteAddress() {
            return exchange.getRemoteAddress();
        }
    }
}

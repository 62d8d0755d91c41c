import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One Elasticsearch node in the folder HOME, on a free port of 127.0.0.1 that it writes to HOME/port once it answers.
 * Where the modules of users are below HOME/modules it asks who one is.
 * The property test.port names another one.
 * HOME/config/elasticsearch.yml, where there is one, goes before the settings here.
 * It ends on SIGTERM, and with the process that holds its standard input.
 */
public final class StartElasticsearch {
    public static void main(String[] arguments) throws Exception {
        Thread holder = Holder.watched();
        Path home = Path.of(arguments[0]);
        for (String folder : List.of("config", "lib", "modules", "plugins")) Files.createDirectories(home.resolve(folder));
        Node node = node(home);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        Files.move(Files.writeString(home.resolve("port.new"), "" + port), home.resolve("port"));
        holder.join();
    }

    private static Node node(Path home) throws Exception {
        LogConfigurator.configureESLogging();
        LogConfigurator.configureWithoutConfig(Settings.EMPTY);
        LogConfigurator.setNodeName("test");
        boolean hasUsers = Files.exists(home.resolve("modules/x-pack-security"));
        Settings.Builder settings = hasUsers ? withUsers(home.resolve("config")) : withoutUsers();
        settings
            .put("path.home", home)
            .put("path.data", home.resolve("data"))
            .put("cluster.name", "test")
            .put("node.name", "test")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", Integer.getInteger("test.port", 0))
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        Path file = home.resolve("config/elasticsearch.yml");
        if (Files.exists(file)) settings.loadFromPath(file);
        Environment environment = new Environment(settings.build(), home.resolve("config"));
        var modules = PluginsLoader.loadModulesBundles(environment.modulesDir(), false);
        var plugins = PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false);
        return new Node(environment, PluginsLoader.createPluginsLoader(modules, plugins, Map.of(), false));
    }

    private static Settings.Builder withoutUsers() {
        return Settings.builder().put("http.type", "loopback").put("transport.type", "loopback");
    }

    /** The password of the user elastic is a property. */
    private static Settings.Builder withUsers(Path config) throws Exception {
        KeyStoreWrapper secrets = KeyStoreWrapper.create();
        secrets.setString("bootstrap.password", System.getProperty("test.password").toCharArray());
        secrets.save(config, new char[0]);
        return Settings.builder().put("transport.port", 0).put("xpack.security.enabled", true).setSecureSettings(secrets);
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (IOException broken) {
            broken.printStackTrace();
        }
    }
}

import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/** What the index of users and keys names and the server jar lacks: how e-mail addresses are cut into words. */
public final class UsersPlugin extends Plugin implements AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (index, environment, name, settings) ->
            TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "pattern_capture", AnalysisPlugin.requiresAnalysisSettings((index, environment, name, settings) -> new Parts(name, settings)),
            "unique", (index, environment, name, settings) -> new Once(name));
    }

    private static final class Parts extends AbstractTokenFilterFactory {
        private final Pattern[] patterns;
        private final boolean isKept;

        Parts(String name, Settings settings) {
            super(name);
            List<String> texts = settings.getAsList("patterns");
            patterns = texts.stream().map(Pattern::compile).toArray(Pattern[]::new);
            isKept = settings.getAsBoolean("preserve_original", true);
        }

        @Override
        public TokenStream create(TokenStream words) {
            return new PatternCaptureGroupTokenFilter(words, isKept, patterns);
        }
    }

    private static final class Once extends AbstractTokenFilterFactory {
        Once(String name) {
            super(name);
        }

        @Override
        public TokenStream create(TokenStream words) {
            return new RemoveDuplicatesTokenFilter(words);
        }
    }
}

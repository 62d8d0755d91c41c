package org.elasticsearch.xpack.esql.arrow;

import java.util.Set;
import org.elasticsearch.xcontent.MediaType;

/** A form of answers that ES|QL names, and nobody here asks for; its own jar is not on Maven Central. */
public final class ArrowFormat implements MediaType {
    public static final ArrowFormat INSTANCE = new ArrowFormat();

    @Override
    public String queryParameter() {
        return "arrow";
    }

    @Override
    public Set<HeaderValue> headerValues() {
        return Set.of(new HeaderValue("application/vnd.apache.arrow.stream"));
    }
}

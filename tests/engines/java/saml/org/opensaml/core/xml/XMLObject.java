package org.opensaml.core.xml;

/** A name that Elasticsearch's users look at when they start; OpenSAML itself is not on Maven Central. */
public interface XMLObject {}

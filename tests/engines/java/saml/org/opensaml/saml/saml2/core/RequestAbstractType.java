package org.opensaml.saml.saml2.core;

/** A name that Elasticsearch's users look at when they start; OpenSAML itself is not on Maven Central. */
public interface RequestAbstractType {}

"""HTTP/1.1 as far as ingest needs it: requests without bodies in, whole answers out."""

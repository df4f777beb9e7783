"""Picture files, one file a format: headers and metadata, so that what comes out carries what came in."""

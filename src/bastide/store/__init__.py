"""Objects: S3's operations over sealed blobs and one table of versions."""

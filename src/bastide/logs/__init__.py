"""Log streams and metrics: CloudWatch Logs and CloudWatch, per agency."""

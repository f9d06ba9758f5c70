"""What has to happen without anybody asking: for now, retention."""

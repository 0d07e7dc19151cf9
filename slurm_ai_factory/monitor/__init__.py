"""What the daemon shows while it runs: metrics, status page and health, from memory only."""

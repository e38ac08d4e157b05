"""What the dashboard shows while a trace runs."""

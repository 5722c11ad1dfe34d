"""What several tests share: makers of synthetic images and services."""

"""Hosts to test on: Debian with systemd, ssh, nginx, nftables and PostgreSQL, in containers on a network of their own."""

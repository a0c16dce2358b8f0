"""Mirroring paper orders at a broker's testnet, and reconciling with what it answers."""

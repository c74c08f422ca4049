"""Stores: the durable state of registries."""

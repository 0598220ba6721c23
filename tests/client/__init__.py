"""The SDK, against a scripted service."""

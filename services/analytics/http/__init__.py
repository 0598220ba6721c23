"""What the gateway asks over HTTP."""

"""The public API, v1: one router a resource."""

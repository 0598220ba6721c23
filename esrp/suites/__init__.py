"""The bundled suites, as YAML."""

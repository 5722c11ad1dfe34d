"""``/openapi.json``: the JSON of the service for programs, as OpenAPI 3.1 describes it."""

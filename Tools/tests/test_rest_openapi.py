"""The REST API against its own document: what it answers to generated requests is what the document says.

Seeded and bounded: the same requests each time, under a minute.
"""

import schemathesis
from control import Rest
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def operations(server):
    """Of the document as served, but for what is tested elsewhere: tokens (the server asks for none here), ETags."""
    document = Rest(server).get("/openapi.json").body
    del document["security"]
    for path in document["paths"].values():
        for operation in path.values():
            operation["parameters"] = [one for one in operation.get("parameters", []) if one["name"] != "If-Match"]
    schema = schemathesis.openapi.from_dict(document)
    return [result.ok() for result in schema.get_all_operations()]


def exercise(server, operation, mode, checks, examples):
    @seed(20_260_101)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        case.call_and_validate(checks=checks, base_url=f"http://{server.http}", timeout=60)

    run()


def test_every_operation_answers_as_the_document_says(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"))
    found = operations(server)
    assert len(found) > 50
    for operation in found:
        exercise(server, operation, schemathesis.GenerationMode.POSITIVE, CHECKS, 8)
    # Nothing that was sent has hurt it.
    assert Rest(server).get("/readyz").status == 200


def test_what_the_document_forbids_is_refused(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"))
    for operation in operations(server):
        if operation.method.upper() in ("POST", "PATCH") and operation.body:
            exercise(
                server, operation, schemathesis.GenerationMode.NEGATIVE, [*CHECKS, negative_data_rejection], 6
            )
    assert Rest(server).get("/readyz").status == 200

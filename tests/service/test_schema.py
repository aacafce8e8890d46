"""Requests made from the description, sensible and senseless ones: none ends in an error of the service."""

import pytest
from conftest import TEXTS
from hypothesis import HealthCheck, settings
from services import open_service, serving

from rag_lib.indexing.documents import Document
from rag_lib.service.app import create_app
from rag_lib.service.settings import Settings

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# A stand-in that is never started: the description does not depend on what is loaded.
schema = schemathesis.openapi.from_dict(create_app(Settings(), lambda: None).openapi())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    documents = [Document(i, i.title(), text) for i, text in TEXTS.items()]
    with serving(open_service(folder, documents), Settings(feedback=folder / "feedback.jsonl")) as (port, _):
        yield f"http://127.0.0.1:{port}"


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_ends_in_an_error_of_the_service(case, address):
    case.call_and_validate(base_url=address, checks=CHECKS)

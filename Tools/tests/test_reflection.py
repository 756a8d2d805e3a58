"""Server reflection by gRPC's own client of it, v1alpha, and by v1's stub: enough to call what no file describes."""

import importlib
import sys

import grpc
import pytest
from conftest import ROOT, failure, request
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as alpha
from grpc_reflection.v1alpha import reflection_pb2_grpc as alpha_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

SERVICES = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection", "tollgate.v1.LimitService"]
FILES = ["grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
         "grpc/reflection/v1alpha/reflection.proto", "tollgate/v1/tollgate.proto"]


@pytest.fixture(scope="module")
def v1(tmp_path_factory):
    """The generated module of grpc.reflection.v1."""
    out = tmp_path_factory.mktemp("reflection")
    status = protoc.main(["protoc", f"-I{ROOT / 'Protos'}", f"--python_out={out}", "grpc/reflection/v1/reflection.proto"])
    assert status == 0
    # `grpc` is a package already: the generated module comes under another name.
    module = (out / "grpc/reflection/v1/reflection_pb2.py").read_text()
    (out / "reflection_v1_pb2.py").write_text(module)
    sys.path.insert(0, str(out))
    return importlib.import_module("reflection_v1_pb2")


def ask(channel, messages, path, *questions):
    """The answers to requests of a stream, in order."""
    call = channel.stream_stream(path, request_serializer=messages.ServerReflectionRequest.SerializeToString,
                                 response_deserializer=messages.ServerReflectionResponse.FromString)
    return list(call(iter([messages.ServerReflectionRequest(**question) for question in questions]), timeout=60))


V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def test_a_client_without_any_file_calls_a_method(channel):
    """As grpcurl does: descriptors, then the call."""
    database = ProtoReflectionDescriptorDatabase(channel)
    assert sorted(database.get_services()) == SERVICES
    pool = DescriptorPool(database)
    method = pool.FindServiceByName("tollgate.v1.LimitService").FindMethodByName("CheckAndReserve")
    asked, answered = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
    call = channel.unary_unary("/tollgate.v1.LimitService/CheckAndReserve", asked.SerializeToString, answered.FromString)
    decision = answered.DESCRIPTOR.fields_by_name["decision"].enum_type.values_by_name["DECISION_ALLOWED"].number
    query = asked(tenant_id="globex", action=6, quantities=[{"resource": 1, "amount": 1}])
    assert call(query, timeout=60).decision == decision
    health = pool.FindServiceByName("grpc.health.v1.Health")
    assert [method.name for method in health.methods] == ["Check", "List", "Watch"]


def test_both_versions_answer_alike(channel, v1):
    questions = [
        {"list_services": "*"}, {"file_by_filename": FILES[0]}, {"file_containing_symbol": "tollgate.v1.Quantity.amount"},
        {"file_containing_symbol": "tollgate.v1.ACTION_CHARGE"}, {"file_containing_symbol": "nobody.knows.It"},
        {"all_extension_numbers_of_type": "tollgate.v1.Quantity"}, {"all_extension_numbers_of_type": "no.Such"},
        {"file_containing_extension": {"containing_type": "tollgate.v1.Quantity", "extension_number": 7}},
        {"file_by_filename": "/etc/passwd"}, {"host": "a.example", "list_services": ""}, {},
    ]
    first = ask(channel, v1, V1, *questions)
    assert len(first) == len(questions)
    assert [answer.SerializeToString() for answer in first] == [
        answer.SerializeToString() for answer in ask(channel, alpha, ALPHA, *questions)]
    kinds = [answer.WhichOneof("message_response") for answer in first]
    listed, file, error, numbers = ("list_services_response", "file_descriptor_response", "error_response",
                                    "all_extension_numbers_response")
    assert kinds == [listed, file, file, file, error, numbers, error, error, error, listed, error]
    assert [answer.error_response.error_code for answer in first if answer.WhichOneof("message_response") == error] == [
        5, 5, 5, 5, 3]
    for question, answer in zip(questions, first):
        assert answer.original_request == v1.ServerReflectionRequest(**question)
        assert answer.valid_host == question.get("host", "")
    assert [service.name for service in first[0].list_services_response.service] == SERVICES
    assert first[5].all_extension_numbers_response.base_type_name == "tollgate.v1.Quantity"


def plain(file):
    """A file as protoc makes it for generated code, and its own name aside."""
    file = descriptor_pb2.FileDescriptorProto.FromString(file)
    file.ClearField("name")

    def messages(message):
        for field in message.field:
            field.ClearField("json_name")
        for nested in message.nested_type:
            messages(nested)

    for message in file.message_type:
        messages(message)
    return file


def test_standard_services_are_the_standard_ones(channel):
    """What is told of them is what gRPC's own packages hold."""
    def told(name):
        answer, = ask(channel, alpha, ALPHA, {"file_by_filename": name})
        file, = answer.file_descriptor_response.file_descriptor_proto
        return plain(file)

    assert told(FILES[0]) == plain(health_pb2.DESCRIPTOR.serialized_pb)
    assert sorted(told(FILES[2]).message_type, key=lambda message: message.name) == sorted(
        plain(alpha.DESCRIPTOR.serialized_pb).message_type, key=lambda message: message.name)
    assert told(FILES[2]).service == plain(alpha.DESCRIPTOR.serialized_pb).service


def test_each_file_is_whole(channel):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    for name in FILES:
        assert pool.FindFileByName(name).name == name


def test_a_stream_goes_on_after_what_is_unknown(channel):
    answers = ask(channel, alpha, ALPHA, *[{"file_containing_symbol": f"no.Such{number}"} for number in range(1_000)],
                  {"list_services": "*"})
    assert len(answers) == 1_001
    assert answers[-1].WhichOneof("message_response") == "list_services_response"


@pytest.mark.parametrize("body", [b"\x1a\x09x", b"\x1a\x01\xff", b"\xff"])
def test_what_is_no_request_ends_its_stream(channel, body):
    call = channel.stream_stream(ALPHA)
    assert failure(lambda timeout: list(call(iter([body]), timeout=timeout))).code == grpc.StatusCode.INTERNAL
    assert len(ask(channel, alpha, ALPHA, {"list_services": "*"})) == 1


def test_descriptors_are_for_whoever_may_call(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), auth=True)
    token = (tmp_path / "data" / "operator-token").read_text().strip()
    with grpc.insecure_channel(server.endpoint) as channel:
        info = alpha_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        question = alpha.ServerReflectionRequest(list_services="*")

        def told(*metadata):
            return list(info(iter([question]), timeout=60, metadata=metadata))

        assert failure(lambda timeout: told()).code == grpc.StatusCode.UNAUTHENTICATED
        assert failure(lambda timeout: told(("authorization", "Bearer x"))).code == grpc.StatusCode.UNAUTHENTICATED
        answer, = told(("authorization", f"Bearer {token}"))
        assert [service.name for service in answer.list_services_response.service] == SERVICES


def test_it_can_be_switched_off(contract, serve):
    server = serve("--reflection", "off")
    with grpc.insecure_channel(server.endpoint) as channel:
        for path in (V1, ALPHA):
            call = channel.stream_stream(path)
            assert failure(lambda timeout: list(call(iter([b""]), timeout=timeout))).code == grpc.StatusCode.UNIMPLEMENTED
        check = channel.unary_unary("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest.SerializeToString)
        unknown = failure(check, health_pb2.HealthCheckRequest(service="grpc.reflection.v1.ServerReflection"))
        assert unknown.code == grpc.StatusCode.NOT_FOUND
        assert contract.Stub(channel).CheckAndReserve(request(contract, spend=1), timeout=60).decision

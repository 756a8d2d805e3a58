// Calls tollgate.v1.LimitService in every way that it can be called, with gRPC's C++ library. Says what went well, a word
// a line; ends with 1, and a sentence, where it did not.
//
//   caller HOST:PORT TOKEN [CA [CERTIFICATE KEY]]    CA: a PEM file; without it the connection is plaintext
//
// The tenants are those of Tools/examples/limits.yaml.
#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "tollgate/v1/tollgate.grpc.pb.h"

namespace v1 = tollgate::v1;
using Stub = v1::LimitService::Stub;

static std::string token;

static void must(bool is_so, const std::string &what, const grpc::Status &status = grpc::Status::OK) {
    if (is_so) return;
    std::cerr << what << ": status " << status.error_code() << " " << status.error_message() << std::endl;
    std::exit(1);
}

static void done(const std::string &what) { std::cout << what << std::endl; }

// A call's context: with a token, and a minute's time.
struct Context : grpc::ClientContext {
    explicit Context(const std::string &credential = token) {
        AddMetadata("authorization", "Bearer " + credential);
        set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    }
};

static v1::CheckAndReserveRequest check(const std::string &tenant, v1::Action action, v1::Resource resource, int64_t amount) {
    v1::CheckAndReserveRequest request;
    request.set_tenant_id(tenant);
    request.set_action(action);
    auto *quantity = request.add_quantities();
    quantity->set_resource(resource);
    quantity->set_amount(amount);
    return request;
}

static v1::CheckAndReserveRequest spend(int64_t amount) {
    return check("globex", v1::ACTION_CHARGE, v1::RESOURCE_SPEND, amount);
}

static void reserve_and_commit(Stub &stub) {
    v1::CheckAndReserveResponse answer;
    Context first;
    auto status = stub.CheckAndReserve(&first, spend(4'000'000), &answer);
    must(status.ok() && answer.decision() == v1::DECISION_ALLOWED && answer.reservation_id() != 0, "reserve", status);
    v1::CommitRequest commit;
    commit.set_reservation_id(answer.reservation_id());
    v1::CommitResponse committed;
    Context second;
    status = stub.Commit(&second, commit, &committed);
    must(status.ok() && committed.committed_size() == 1 && committed.committed(0).amount() == 4'000'000, "commit", status);
    done("unary");
}

static void be_denied(Stub &stub) {
    v1::CheckAndReserveResponse answer;
    Context context;
    auto status = stub.CheckAndReserve(
        &context, check("initech", v1::ACTION_PROVISION_EXTENSION, v1::RESOURCE_EXTENSIONS, 10'000), &answer);
    must(status.ok() && answer.decision() == v1::DECISION_DENIED && answer.errors_size() == 1 &&
             answer.errors(0).code() == "49002", "denial", status);
    done("denied");
}

static void fail(Stub &stub) {
    v1::CheckAndReserveResponse answer;
    Context context;
    auto status = stub.CheckAndReserve(&context, v1::CheckAndReserveRequest(), &answer);
    must(status.error_code() == grpc::INVALID_ARGUMENT && !status.error_details().empty(), "invalid", status);
    Context stranger("nobody's");
    status = stub.CheckAndReserve(&stranger, spend(1), &answer);
    must(status.error_code() == grpc::UNAUTHENTICATED, "stranger", status);
    done("failures");
}

static void compress(Stub &stub) {
    v1::CheckAndReserveResponse answer;
    Context context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto request = spend(1);
    request.set_reference(std::string(64, 'x'));
    auto status = stub.CheckAndReserve(&context, request, &answer);
    must(status.ok() && answer.decision() == v1::DECISION_ALLOWED, "gzip", status);
    done("gzip");
}

static void stream(Stub &stub) {
    constexpr int count = 500;
    Context context;
    auto call = stub.CheckAndReserveStream(&context);
    for (int index = 0; index < count; index++) must(call->Write(spend(1)), "write");
    call->WritesDone();
    v1::CheckAndReserveResponse answer;
    int answers = 0;
    while (call->Read(&answer)) answers += answer.decision() == v1::DECISION_ALLOWED;
    auto status = call->Finish();
    must(status.ok() && answers == count, "stream", status);
    done("stream");
}

static void watch(Stub &stub) {
    v1::WatchUsageRequest request;
    request.set_tenant_id("globex");
    Context context;
    auto call = stub.WatchUsage(&context, request);
    v1::WatchUsageResponse update;
    while (call->Read(&update) && !update.snapshot_complete()) {}
    must(update.snapshot_complete(), "watch");
    context.TryCancel();
    while (call->Read(&update)) {}
    auto status = call->Finish();
    must(status.error_code() == grpc::CANCELLED, "cancellation", status);
    done("watch");
}

static std::string contents(const char *path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

int main(int count, char **arguments) {
    if (count < 3) return 64;
    token = arguments[2];
    auto credentials = grpc::InsecureChannelCredentials();
    if (count > 3) {
        grpc::SslCredentialsOptions options{contents(arguments[3]), "", ""};
        if (count > 5) {
            options.pem_cert_chain = contents(arguments[4]);
            options.pem_private_key = contents(arguments[5]);
        }
        credentials = grpc::SslCredentials(options);
    }
    auto stub = v1::LimitService::NewStub(grpc::CreateChannel(arguments[1], credentials));
    reserve_and_commit(*stub);
    be_denied(*stub);
    fail(*stub);
    compress(*stub);
    stream(*stub);
    watch(*stub);
}

// Charges of a millionth of a dollar at a rate, over one connection of gRPC's C++ library, none of them repeated. Then says
// in one JSON object how many calls there were, how many failed by status, and the longest wait in milliseconds.
//
//   steady HOST:PORT TENANT CALLS-PER-SECOND SECONDS
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "tollgate/v1/tollgate.grpc.pb.h"

namespace v1 = tollgate::v1;
using Clock = std::chrono::steady_clock;

// Longer than any upgrade.
static constexpr auto kPatience = std::chrono::seconds(60);

struct Call {
    grpc::ClientContext context;
    v1::CheckAndReserveResponse answer;
    grpc::Status status;
    Clock::time_point began = Clock::now();
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::CheckAndReserveResponse>> reader;
};

struct Tally {
    long calls = 0;
    long failed = 0;
    double longest_ms = 0;
    std::map<std::string, long> failures;

    // Belongs to one thread.
    void add(const Call &call) {
        calls += 1;
        const std::chrono::duration<double, std::milli> waited = Clock::now() - call.began;
        longest_ms = std::max(longest_ms, waited.count());
        if (call.status.ok() && call.answer.decision() == v1::DECISION_ALLOWED) return;
        failed += 1;
        failures[call.status.ok() ? "denied" : std::to_string(call.status.error_code())] += 1;
    }
};

// Until the queue is shut down and empty.
static void collect(grpc::CompletionQueue &queue, Tally &tally) {
    void *tag = nullptr;
    bool is_well = false;
    while (queue.Next(&tag, &is_well)) {
        const std::unique_ptr<Call> call(static_cast<Call *>(tag));
        tally.add(*call);
    }
}

static long number(const char *text, long most) {
    char *end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > most) {
        std::cerr << "steady: " << text << " is not a number from 1 to " << most << std::endl;
        std::exit(64);
    }
    return value;
}

int main(int count, char **arguments) {
    if (count != 5) {
        std::cerr << "usage: steady HOST:PORT TENANT CALLS-PER-SECOND SECONDS" << std::endl;
        return 64;
    }
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(1)) / number(arguments[3], 100'000);
    const auto end = Clock::now() + std::chrono::seconds(number(arguments[4], 86'400));

    v1::CheckAndReserveRequest request;
    request.set_tenant_id(arguments[2]);
    request.set_action(v1::ACTION_CHARGE);
    request.set_mode(v1::MODE_COMMIT);
    auto *spend = request.add_quantities();
    spend->set_resource(v1::RESOURCE_SPEND);
    spend->set_amount(1'000);

    const auto stub = v1::LimitService::NewStub(grpc::CreateChannel(arguments[1], grpc::InsecureChannelCredentials()));
    grpc::CompletionQueue queue;
    Tally tally;
    std::thread collector([&] { collect(queue, tally); });
    for (auto due = Clock::now(); due < end; due += interval) {
        std::this_thread::sleep_until(due);
        auto call = std::make_unique<Call>();
        call->context.set_deadline(std::chrono::system_clock::now() + kPatience);
        call->reader = stub->AsyncCheckAndReserve(&call->context, request, &queue);
        Call *owned = call.release();
        owned->reader->Finish(&owned->answer, &owned->status, owned);
    }
    queue.Shutdown();
    collector.join();

    std::cout << "{\"calls\":" << tally.calls << ",\"failed\":" << tally.failed << ",\"failures\":{";
    const char *comma = "";
    for (const auto &[status, failed] : tally.failures) {
        std::cout << comma << "\"" << status << "\":" << failed;
        comma = ",";
    }
    std::cout << "},\"ms\":" << tally.longest_ms << "}" << std::endl;
    return 0;
}

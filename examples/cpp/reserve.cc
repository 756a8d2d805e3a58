// Hold room, charge it, see a denial, repeat safely: gRPC from C++.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>

#include "tollgate/v1/tollgate.grpc.pb.h"

namespace toll = tollgate::v1;

namespace {

std::string Environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

// Every call has a deadline, and a token where the service asks for one.
void Prepare(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  const std::string token = Environment("TOLLGATE_TOKEN", "");
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
}

grpc::Status Check(toll::LimitService::Stub& limits, const toll::CheckAndReserveRequest& request,
                   toll::CheckAndReserveResponse* answer) {
  grpc::ClientContext context;
  Prepare(context);
  return limits.CheckAndReserve(&context, request, answer);
}

// No answer: the message is not sent. docs/clients/failure.md has the other choice.
int NoAnswer(const grpc::Status& status) {
  std::cerr << "no answer: " << status.error_code() << " " << status.error_message() << "\n";
  return 1;
}

}  // namespace

int main() {
  const auto channel = grpc::CreateChannel(Environment("TOLLGATE_ENDPOINT", "127.0.0.1:50051"),
                                           grpc::InsecureChannelCredentials());
  const auto limits = toll::LimitService::NewStub(channel);

  toll::CheckAndReserveRequest message;
  message.set_tenant_id("globex");
  message.set_messaging_profile_id("globex-bulk");
  message.set_action(toll::ACTION_SEND_MESSAGE);
  toll::Quantity* cost = message.add_quantities();
  cost->set_resource(toll::RESOURCE_SPEND);
  cost->set_amount(4'000'000);  // nano-USD: 0.004 USD
  // One key for each message: the same request under it is decided once, however often it is sent.
  std::random_device random;
  message.set_idempotency_key("cpp-" + std::to_string(random()) + "-" + std::to_string(random()));

  toll::CheckAndReserveResponse answer;
  if (const auto status = Check(*limits, message, &answer); !status.ok()) return NoAnswer(status);
  if (answer.decision() != toll::DECISION_ALLOWED) {
    std::cout << "denied: " << answer.errors(0).code() << " " << answer.errors(0).title() << "\n";
    return 3;
  }
  std::cout << "held: 0.004 USD\n";

  toll::CheckAndReserveResponse again;
  if (const auto status = Check(*limits, message, &again); !status.ok()) return NoAnswer(status);
  std::cout << "repeated: "
            << (again.reservation_id() == answer.reservation_id() ? "the same hold" : "another hold")
            << "\n";

  grpc::ClientContext context;
  Prepare(context);
  toll::CommitRequest commit;
  commit.set_reservation_id(answer.reservation_id());
  toll::CommitResponse committed;
  if (const auto status = limits->Commit(&context, commit, &committed); !status.ok()) {
    return NoAnswer(status);
  }
  std::cout << "committed\n";

  toll::CheckAndReserveRequest extensions;
  extensions.set_tenant_id("initech");
  extensions.set_action(toll::ACTION_PROVISION_EXTENSION);
  toll::Quantity* count = extensions.add_quantities();
  count->set_resource(toll::RESOURCE_EXTENSIONS);
  count->set_amount(10'000);
  toll::CheckAndReserveResponse denied;
  if (const auto status = Check(*limits, extensions, &denied); !status.ok()) return NoAnswer(status);
  for (const toll::Error& reason : denied.errors()) {
    std::cout << "denied: " << reason.code() << " " << reason.title() << "\n";
  }
  return 0;
}

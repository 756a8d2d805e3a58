import dev.tollgate.v1.LimitServiceGrpc;
import dev.tollgate.v1.LimitServiceGrpc.LimitServiceBlockingStub;
import dev.tollgate.v1.TollgateProto.Action;
import dev.tollgate.v1.TollgateProto.CheckAndReserveRequest;
import dev.tollgate.v1.TollgateProto.CheckAndReserveResponse;
import dev.tollgate.v1.TollgateProto.CommitRequest;
import dev.tollgate.v1.TollgateProto.Decision;
import dev.tollgate.v1.TollgateProto.Quantity;
import dev.tollgate.v1.TollgateProto.Resource;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** Hold room, charge it, see a denial, repeat safely: gRPC from Java. */
public final class Reserve {
  private final LimitServiceBlockingStub limits;

  private Reserve(ManagedChannel channel) {
    LimitServiceBlockingStub stub = LimitServiceGrpc.newBlockingStub(channel);
    String token = System.getenv("TOLLGATE_TOKEN");
    if (token != null && !token.isEmpty()) {
      Metadata fields = new Metadata();
      fields.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
      stub = MetadataUtils.attachHeaders(stub, fields);
    }
    limits = stub;
  }

  /** Every call has a deadline. */
  private LimitServiceBlockingStub limits() {
    return limits.withDeadlineAfter(5, TimeUnit.SECONDS);
  }

  private int play() {
    // One key for each message: the same request under it is decided once, however often it is sent.
    CheckAndReserveRequest message = CheckAndReserveRequest.newBuilder()
        .setTenantId("globex")
        .setMessagingProfileId("globex-bulk")
        .setAction(Action.ACTION_SEND_MESSAGE)
        .addQuantities(Quantity.newBuilder().setResource(Resource.RESOURCE_SPEND).setAmount(4_000_000)) // nano-USD
        .setIdempotencyKey(UUID.randomUUID().toString())
        .build();
    CheckAndReserveResponse answer = limits().checkAndReserve(message);
    if (answer.getDecision() != Decision.DECISION_ALLOWED) {
      System.out.println("denied: " + answer.getErrors(0).getCode() + " " + answer.getErrors(0).getTitle());
      return 3;
    }
    System.out.println("held: 0.004 USD");
    CheckAndReserveResponse again = limits().checkAndReserve(message);
    boolean isSame = again.getReservationId() == answer.getReservationId();
    System.out.println("repeated: " + (isSame ? "the same hold" : "another hold"));

    limits().commit(CommitRequest.newBuilder().setReservationId(answer.getReservationId()).build());
    System.out.println("committed");

    CheckAndReserveRequest extensions = CheckAndReserveRequest.newBuilder()
        .setTenantId("initech")
        .setAction(Action.ACTION_PROVISION_EXTENSION)
        .addQuantities(Quantity.newBuilder().setResource(Resource.RESOURCE_EXTENSIONS).setAmount(10_000))
        .build();
    limits().checkAndReserve(extensions).getErrorsList().forEach(
        reason -> System.out.println("denied: " + reason.getCode() + " " + reason.getTitle()));
    return 0;
  }

  public static void main(String[] arguments) throws InterruptedException {
    String endpoint = System.getenv().getOrDefault("TOLLGATE_ENDPOINT", "127.0.0.1:50051");
    ManagedChannel channel = ManagedChannelBuilder.forTarget(endpoint).usePlaintext().build();
    int status;
    try {
      status = new Reserve(channel).play();
    } catch (StatusRuntimeException failure) {
      // No answer: the message is not sent. docs/clients/failure.md has the other choice.
      System.err.println("no answer: " + failure.getStatus());
      status = 1;
    }
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    System.exit(status);
  }
}

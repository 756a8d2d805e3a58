// Calls tollgate.v1.LimitService in every way that it can be called, with grpc-java. Says what went well, a word a line; ends
// with 1, and a sentence, where it did not.
//
//   java Caller HOST:PORT TOKEN [CA [CERTIFICATE KEY]]    CA: a PEM file; without it the connection is plaintext
//
// The tenants are those of Tools/examples/limits.yaml.
import dev.tollgate.v1.LimitServiceGrpc;
import dev.tollgate.v1.TollgateProto.Action;
import dev.tollgate.v1.TollgateProto.CheckAndReserveRequest;
import dev.tollgate.v1.TollgateProto.CheckAndReserveResponse;
import dev.tollgate.v1.TollgateProto.CommitRequest;
import dev.tollgate.v1.TollgateProto.CommitResponse;
import dev.tollgate.v1.TollgateProto.Decision;
import dev.tollgate.v1.TollgateProto.Quantity;
import dev.tollgate.v1.TollgateProto.Resource;
import dev.tollgate.v1.TollgateProto.WatchUsageRequest;
import dev.tollgate.v1.TollgateProto.WatchUsageResponse;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.File;
import java.util.Iterator;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public final class Caller {
    private static final int STREAMED = 500;

    private static void must(boolean isSo, String what) {
        if (!isSo) throw new IllegalStateException(what);
    }

    private static void done(String what) {
        System.out.println(what);
    }

    /** A stub with a token, and a minute's time. */
    private static LimitServiceGrpc.LimitServiceBlockingStub blocking(ManagedChannel channel, String token) {
        return MetadataUtils.attachHeaders(LimitServiceGrpc.newBlockingStub(channel), authorization(token))
            .withDeadlineAfter(1, TimeUnit.MINUTES);
    }

    private static Metadata authorization(String token) {
        Metadata metadata = new Metadata();
        metadata.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        return metadata;
    }

    private static CheckAndReserveRequest check(String tenant, Action action, Resource resource, long amount) {
        return CheckAndReserveRequest.newBuilder().setTenantId(tenant).setAction(action)
            .addQuantities(Quantity.newBuilder().setResource(resource).setAmount(amount)).build();
    }

    private static CheckAndReserveRequest spend(long amount) {
        return check("globex", Action.ACTION_CHARGE, Resource.RESOURCE_SPEND, amount);
    }

    private static void reserveAndCommit(ManagedChannel channel, String token) {
        CheckAndReserveResponse answer = blocking(channel, token).checkAndReserve(spend(4_000_000));
        must(answer.getDecision() == Decision.DECISION_ALLOWED && answer.getReservationId() != 0, "reserve");
        CommitResponse committed = blocking(channel, token).commit(
            CommitRequest.newBuilder().setReservationId(answer.getReservationId()).build());
        must(committed.getCommittedCount() == 1 && committed.getCommitted(0).getAmount() == 4_000_000, "commit");
        done("unary");
    }

    private static void beDenied(ManagedChannel channel, String token) {
        CheckAndReserveResponse answer = blocking(channel, token).checkAndReserve(
            check("initech", Action.ACTION_PROVISION_EXTENSION, Resource.RESOURCE_EXTENSIONS, 10_000));
        must(answer.getDecision() == Decision.DECISION_DENIED && answer.getErrorsCount() == 1
            && answer.getErrors(0).getCode().equals("49002"), "denial");
        done("denied");
    }

    private static void fail(ManagedChannel channel, String token, CheckAndReserveRequest request, Status.Code expected) {
        try {
            blocking(channel, token).checkAndReserve(request);
        } catch (StatusRuntimeException error) {
            must(error.getStatus().getCode() == expected, expected + ", not " + error.getStatus());
            return;
        }
        throw new IllegalStateException(expected + ", not OK");
    }

    private static void compress(ManagedChannel channel, String token) {
        CheckAndReserveRequest request = spend(1).toBuilder().setReference("x".repeat(64)).build();
        must(blocking(channel, token).withCompression("gzip").checkAndReserve(request).getDecision()
            == Decision.DECISION_ALLOWED, "gzip");
        done("gzip");
    }

    private static void stream(ManagedChannel channel, String token) throws InterruptedException {
        AtomicInteger allowed = new AtomicInteger();
        AtomicInteger failed = new AtomicInteger();
        CountDownLatch end = new CountDownLatch(1);
        LimitServiceGrpc.LimitServiceStub stub =
            MetadataUtils.attachHeaders(LimitServiceGrpc.newStub(channel), authorization(token));
        StreamObserver<CheckAndReserveRequest> requests = stub.withDeadlineAfter(1, TimeUnit.MINUTES)
            .checkAndReserveStream(new StreamObserver<CheckAndReserveResponse>() {
                @Override public void onNext(CheckAndReserveResponse answer) {
                    if (answer.getDecision() == Decision.DECISION_ALLOWED) allowed.incrementAndGet();
                }

                @Override public void onError(Throwable error) {
                    failed.incrementAndGet();
                    end.countDown();
                }

                @Override public void onCompleted() {
                    end.countDown();
                }
            });
        for (int index = 0; index < STREAMED; index++) requests.onNext(spend(1));
        requests.onCompleted();
        end.await();
        must(allowed.get() == STREAMED && failed.get() == 0, "stream: " + allowed + " answers");
        done("stream");
    }

    private static void watch(ManagedChannel channel, String token) {
        try (Context.CancellableContext context = Context.current().withCancellation()) {
            Context before = context.attach();
            Iterator<WatchUsageResponse> updates = blocking(channel, token).watchUsage(
                WatchUsageRequest.newBuilder().setTenantId("globex").build());
            while (!updates.next().getSnapshotComplete()) { }
            context.detach(before);
            context.cancel(null);
            try {
                while (updates.hasNext()) updates.next();
                throw new IllegalStateException("not cancelled");
            } catch (StatusRuntimeException error) {
                must(error.getStatus().getCode() == Status.Code.CANCELLED, "cancellation: " + error.getStatus());
            }
        }
        done("watch");
    }

    private static ManagedChannel channel(String[] arguments) throws Exception {
        NettyChannelBuilder builder = NettyChannelBuilder.forTarget(arguments[0]);
        if (arguments.length < 3) return builder.usePlaintext().build();
        var security = GrpcSslContexts.forClient().trustManager(new File(arguments[2]));
        if (arguments.length > 4) security.keyManager(new File(arguments[3]), new File(arguments[4]));
        return builder.sslContext(security.build()).build();
    }

    public static void main(String[] arguments) throws Exception {
        ManagedChannel channel = channel(arguments);
        String token = arguments[1];
        reserveAndCommit(channel, token);
        beDenied(channel, token);
        fail(channel, token, CheckAndReserveRequest.getDefaultInstance(), Status.Code.INVALID_ARGUMENT);
        fail(channel, "nobody's", spend(1), Status.Code.UNAUTHENTICATED);
        done("failures");
        compress(channel, token);
        stream(channel, token);
        watch(channel, token);
        channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    }
}

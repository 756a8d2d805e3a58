// Calls tollgate.v1.LimitService in every way that it can be called, with grpc-go. Says what went well, a word a line; ends
// with 1, and a sentence, where it did not.
//
//	caller HOST:PORT TOKEN [CA [CERTIFICATE KEY]]    CA: a PEM file; without it the connection is plaintext
//
// The tenants are those of Tools/examples/limits.yaml.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/ioutil"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	toll "tollgate.dev/api/v1"
)

func must(isSo bool, what string, err error) {
	if !isSo {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// with has a call's context: with a token, and a minute's time.
func with(token string) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	return context.WithTimeout(ctx, time.Minute)
}

func check(tenant string, action toll.Action, resource toll.Resource, amount int64) *toll.CheckAndReserveRequest {
	return &toll.CheckAndReserveRequest{TenantId: tenant, Action: action,
		Quantities: []*toll.Quantity{{Resource: resource, Amount: amount}}}
}

func spend(amount int64) *toll.CheckAndReserveRequest {
	return check("globex", toll.Action_ACTION_CHARGE, toll.Resource_RESOURCE_SPEND, amount)
}

func reserveAndCommit(limits toll.LimitServiceClient, token string) {
	ctx, cancel := with(token)
	defer cancel()
	answer, err := limits.CheckAndReserve(ctx, spend(4_000_000))
	must(err == nil && answer.Decision == toll.Decision_DECISION_ALLOWED && answer.ReservationId != 0, "reserve", err)
	committed, err := limits.Commit(ctx, &toll.CommitRequest{ReservationId: answer.ReservationId})
	must(err == nil && len(committed.Committed) == 1 && committed.Committed[0].Amount == 4_000_000, "commit", err)
	fmt.Println("unary")
}

func beDenied(limits toll.LimitServiceClient, token string) {
	ctx, cancel := with(token)
	defer cancel()
	answer, err := limits.CheckAndReserve(
		ctx, check("initech", toll.Action_ACTION_PROVISION_EXTENSION, toll.Resource_RESOURCE_EXTENSIONS, 10_000))
	must(err == nil && answer.Decision == toll.Decision_DECISION_DENIED && len(answer.Errors) == 1 &&
		answer.Errors[0].Code == "49002", "denial", err)
	fmt.Println("denied")
}

func fail(limits toll.LimitServiceClient, token string) {
	ctx, cancel := with(token)
	defer cancel()
	_, err := limits.CheckAndReserve(ctx, &toll.CheckAndReserveRequest{})
	must(status.Code(err) == codes.InvalidArgument, "invalid", err)
	stranger, cancel := with("nobody's")
	defer cancel()
	_, err = limits.CheckAndReserve(stranger, spend(1))
	must(status.Code(err) == codes.Unauthenticated, "stranger", err)
	fmt.Println("failures")
}

func compress(limits toll.LimitServiceClient, token string) {
	ctx, cancel := with(token)
	defer cancel()
	request := spend(1)
	request.Reference = strings.Repeat("x", 64)
	answer, err := limits.CheckAndReserve(ctx, request, grpc.UseCompressor(gzip.Name))
	must(err == nil && answer.Decision == toll.Decision_DECISION_ALLOWED, "gzip", err)
	fmt.Println("gzip")
}

func stream(limits toll.LimitServiceClient, token string) {
	const count = 500
	ctx, cancel := with(token)
	defer cancel()
	call, err := limits.CheckAndReserveStream(ctx)
	must(err == nil, "stream", err)
	for index := 0; index < count; index++ {
		err = call.Send(spend(1))
		must(err == nil, "send", err)
	}
	must(call.CloseSend() == nil, "half-close", nil)
	for index := 0; index < count; index++ {
		answer, err := call.Recv()
		must(err == nil && answer.Decision == toll.Decision_DECISION_ALLOWED, "answer", err)
	}
	_, err = call.Recv()
	must(err != nil && err.Error() == "EOF", "end", err)
	fmt.Println("stream")
}

func watch(limits toll.LimitServiceClient, token string) {
	ctx, cancel := with(token)
	call, err := limits.WatchUsage(ctx, &toll.WatchUsageRequest{TenantId: "globex"})
	must(err == nil, "watch", err)
	for isComplete := false; !isComplete; {
		update, err := call.Recv()
		must(err == nil, "update", err)
		isComplete = update.SnapshotComplete
	}
	cancel()
	for err == nil {
		_, err = call.Recv()
	}
	must(status.Code(err) == codes.Canceled, "cancellation", err)
	fmt.Println("watch")
}

func security(files []string) grpc.DialOption {
	if len(files) == 0 {
		return grpc.WithInsecure()
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	roots, err := ioutil.ReadFile(files[0])
	must(err == nil && config.RootCAs.AppendCertsFromPEM(roots), "the CA's file", err)
	if len(files) == 3 {
		certificate, err := tls.LoadX509KeyPair(files[1], files[2])
		must(err == nil, "the certificate", err)
		config.Certificates = []tls.Certificate{certificate}
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(config))
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(64)
	}
	connection, err := grpc.Dial(os.Args[1], security(os.Args[3:]))
	must(err == nil, "dial", err)
	limits, token := toll.NewLimitServiceClient(connection), os.Args[2]
	reserveAndCommit(limits, token)
	beDenied(limits, token)
	fail(limits, token)
	compress(limits, token)
	stream(limits, token)
	watch(limits, token)
}

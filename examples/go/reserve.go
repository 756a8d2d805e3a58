// Hold room, charge it, see a denial, repeat safely: gRPC from Go.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	toll "tollgate.dev/api/v1"
)

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// prepare gives every call a deadline, and a token where the service asks for one.
func prepare() (context.Context, context.CancelFunc) {
	ctx := context.Background()
	if token := os.Getenv("TOLLGATE_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return context.WithTimeout(ctx, 5*time.Second)
}

// check ends the program where there is no answer: the message is not sent. docs/clients/failure.md has the other choice.
func check(limits toll.LimitServiceClient, request *toll.CheckAndReserveRequest) *toll.CheckAndReserveResponse {
	ctx, cancel := prepare()
	defer cancel()
	answer, err := limits.CheckAndReserve(ctx, request)
	if err != nil {
		log.Fatalf("no answer: %v", err)
	}
	return answer
}

// key names one message: the same request under it is decided once, however often it is sent.
func key() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(bytes)
}

func main() {
	log.SetFlags(0)
	connection, err := grpc.Dial(environment("TOLLGATE_ENDPOINT", "127.0.0.1:50051"), grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	limits := toll.NewLimitServiceClient(connection)

	message := &toll.CheckAndReserveRequest{
		TenantId:           "globex",
		MessagingProfileId: "globex-bulk",
		Action:             toll.Action_ACTION_SEND_MESSAGE,
		Quantities:         []*toll.Quantity{{Resource: toll.Resource_RESOURCE_SPEND, Amount: 4_000_000}}, // nano-USD
		IdempotencyKey:     key(),
	}
	answer := check(limits, message)
	if answer.Decision != toll.Decision_DECISION_ALLOWED {
		fmt.Println("denied:", answer.Errors[0].Code, answer.Errors[0].Title)
		os.Exit(3)
	}
	fmt.Println("held: 0.004 USD")
	if check(limits, message).ReservationId == answer.ReservationId {
		fmt.Println("repeated: the same hold")
	} else {
		fmt.Println("repeated: another hold")
	}

	ctx, cancel := prepare()
	defer cancel()
	if _, err := limits.Commit(ctx, &toll.CommitRequest{ReservationId: answer.ReservationId}); err != nil {
		log.Fatalf("no answer: %v", err)
	}
	fmt.Println("committed")

	denied := check(limits, &toll.CheckAndReserveRequest{
		TenantId:   "initech",
		Action:     toll.Action_ACTION_PROVISION_EXTENSION,
		Quantities: []*toll.Quantity{{Resource: toll.Resource_RESOURCE_EXTENSIONS, Amount: 10_000}},
	})
	for _, reason := range denied.Errors {
		fmt.Println("denied:", reason.Code, reason.Title)
	}
}

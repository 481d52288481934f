// A tour of kvix from Go, with stock grpc-go and stubs that the build generates.
//
//	tour [HOST:PORT]                 all of it, once
//	tour [HOST:PORT] watch PREFIX    tells what changes, across lost connections
//
// The parts: tour.go has the calls, watch.go a watch that goes on by itself.
package main

//go:generate npx --no-install buf generate

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"kvix.examples/tour/kvixv1"
)

const defaultAddress = "127.0.0.1:5849"

// messageBytesMax is the largest answer that is taken. It is the server's default, and
// grpc-go's. If the server runs with a larger --max-message-bytes, say so here too: a
// client refuses by itself, with RESOURCE_EXHAUSTED, what is larger than its own limit.
// Upload and Download carry values of up to 100 MiB past it.
const messageBytesMax = 4 << 20

// callTimeout is the deadline of every call but Scan and Watch. Without one, a call to a
// server that hangs never ends.
const callTimeout = 10 * time.Second

// connect makes the one connection of a program: it carries any number of calls at once,
// and comes back by itself.
func connect(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax)),
		// A watch may be silent for long, so only pings find out that its server is gone.
		// kvix takes any number of them. Many other servers, and proxies, end a
		// connection that pings more often than every five minutes ("too_many_pings").
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    30 * time.Second,
			Timeout: 10 * time.Second,
		}),
	)
}

func main() {
	log.SetFlags(0)
	address := defaultAddress
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	connection, err := connect(address)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	kv := kvixv1.NewKvServiceClient(connection)
	if len(os.Args) == 4 && os.Args[2] == "watch" {
		err = tellChanges(kv, os.Args[3])
	} else {
		err = tour(kv)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// tellChanges prints what changes below the prefix until the program is ended.
func tellChanges(kv kvixv1.KvServiceClient, prefix string) error {
	watcher := &Watcher{KV: kv, Prefix: []byte(prefix)}
	return watcher.Run(context.Background(), func(batch *kvixv1.WatchResponse) bool {
		if len(batch.GetEvents()) == 0 {
			fmt.Println("watching")
		}
		for _, event := range batch.GetEvents() {
			fmt.Println(describe(event))
		}
		return true
	})
}

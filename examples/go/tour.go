package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"kvix.examples/tour/kvixv1"
)

// tour shows each call. Keys below "tour:" are its own.
func tour(kv kvixv1.KvServiceClient) error {
	for _, part := range []func(kvixv1.KvServiceClient) error{
		setAndGet, expire, compareAndSet, commit, scan, watch,
	} {
		if err := part(kv); err != nil {
			return err
		}
	}
	return nil
}

func setAndGet(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	key := []byte("tour:greeting")
	// Once it is answered, no crash and no loss of power takes it away.
	if _, err := kv.Set(ctx, &kvixv1.SetRequest{Key: key, Value: []byte("hello")}); err != nil {
		return err
	}
	found, err := kv.Get(ctx, &kvixv1.GetRequest{Key: key})
	if err != nil {
		return err
	}
	missed, err := kv.Get(ctx, &kvixv1.GetRequest{Key: []byte("tour:nothing")})
	if err != nil {
		return err
	}
	// A miss is no error: there is no record.
	fmt.Printf("get: %s, missing: %t\n", found.GetRecord().GetValue(), missed.Record == nil)
	return nil
}

func expire(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	key := []byte("tour:session")
	set := &kvixv1.SetRequest{
		Key:    key,
		Value:  []byte("ada"),
		Expiry: &kvixv1.SetRequest_Ttl{Ttl: durationpb.New(30 * time.Minute)},
	}
	if _, err := kv.Set(ctx, set); err != nil {
		return err
	}
	timed, err := kv.Exists(ctx, &kvixv1.ExistsRequest{Key: key})
	if err != nil {
		return err
	}
	// A Set without an expiry clears the old one; KeepTtl keeps it.
	plain := &kvixv1.SetRequest{Key: key, Value: []byte("ada")}
	if _, err := kv.Set(ctx, plain); err != nil {
		return err
	}
	cleared, err := kv.Exists(ctx, &kvixv1.ExistsRequest{Key: key})
	if err != nil {
		return err
	}
	fmt.Printf("ttl: %t, cleared: %t\n", timed.ExpireTime != nil, cleared.ExpireTime == nil)
	return nil
}

// compareAndSet writes only if the record still has the version that was read. Who comes
// second is told what stands, in the same round trip.
func compareAndSet(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	key := []byte("tour:document")
	first, err := kv.Set(ctx, &kvixv1.SetRequest{Key: key, Value: []byte("draft")})
	if err != nil {
		return err
	}
	unchanged := &kvixv1.Precondition{
		Condition: &kvixv1.Precondition_Version{Version: first.GetVersion()},
	}
	mine, err := kv.Set(ctx, &kvixv1.SetRequest{
		Key: key, Value: []byte("mine"), Precondition: unchanged,
	})
	if err != nil {
		return err
	}
	yours, err := kv.Set(ctx, &kvixv1.SetRequest{
		Key: key, Value: []byte("yours"), Precondition: unchanged,
	})
	if err != nil {
		return err
	}
	fmt.Printf("cas: %t, then %t, for it is %s\n",
		mine.GetApplied(), yours.GetApplied(), yours.GetCurrent().GetValue())
	return nil
}

// commit moves 30 from one account to another: both or neither, also across a crash.
func commit(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	from, to := []byte("tour:account:a"), []byte("tour:account:b")
	opened, err := kv.Set(ctx, &kvixv1.SetRequest{Key: from, Value: []byte("100")})
	if err != nil {
		return err
	}
	if _, err := kv.Set(ctx, &kvixv1.SetRequest{Key: to, Value: []byte("0")}); err != nil {
		return err
	}
	// Under an id of its own a request may be sent again after an answer that was lost: it
	// is done once, and a repeat gets the first answer.
	id := make([]byte, 16)
	rand.Read(id)
	request := &kvixv1.CommitRequest{
		RequestId: id,
		Conditions: []*kvixv1.CommitCondition{{
			Key: from,
			Precondition: &kvixv1.Precondition{
				Condition: &kvixv1.Precondition_Version{Version: opened.GetVersion()},
			},
		}},
		Mutations: []*kvixv1.Mutation{add(from, -30), add(to, 30)},
	}
	moved, err := kv.Commit(ctx, request)
	if err != nil {
		return err
	}
	again, err := kv.Commit(ctx, request)
	if err != nil {
		return err
	}
	fmt.Printf("commit: %t, a: %d, b: %d, repeated: %t\n", moved.GetApplied(),
		again.GetResults()[0].GetValue(), again.GetResults()[1].GetValue(), again.GetRepeated())
	return nil
}

func add(key []byte, delta int64) *kvixv1.Mutation {
	increment := &kvixv1.IncrementMutation{Key: key, Delta: &delta}
	return &kvixv1.Mutation{Mutation: &kvixv1.Mutation_Increment{Increment: increment}}
}

// scan reads a range in key order, all of it as it stood at one point in time. It has no
// deadline; cancelling its context ends it.
func scan(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := kv.Scan(ctx, &kvixv1.ScanRequest{Prefix: []byte("tour:account:")})
	if err != nil {
		return err
	}
	fmt.Print("scan:")
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, listed := range part.GetRecords() {
			record := listed.GetRecord()
			fmt.Printf(" %s=%s", record.GetKey(), record.GetValue())
		}
	}
	fmt.Println()
	return nil
}

// watch leaves after each change and comes back with the last version: nothing that
// happened meanwhile is missed, and nothing comes twice.
func watch(kv kvixv1.KvServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	key := []byte("tour:watched:light")
	// The store_version of an answer is where a watch without a gap begins.
	begun, err := kv.Exists(ctx, &kvixv1.ExistsRequest{Key: key})
	if err != nil {
		return err
	}
	version := begun.GetStoreVersion()
	watcher := &Watcher{KV: kv, Prefix: []byte("tour:watched:"), After: &version}
	fmt.Print("watch:")
	for turn := 1; turn <= 3; turn++ {
		value := []byte(strconv.Itoa(turn))
		if _, err := kv.Set(ctx, &kvixv1.SetRequest{Key: key, Value: value}); err != nil {
			return err
		}
		err := watcher.Run(ctx, func(batch *kvixv1.WatchResponse) bool {
			for _, event := range batch.GetEvents() {
				fmt.Printf(" (%s)", describe(event))
			}
			return len(batch.GetEvents()) == 0
		})
		if err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

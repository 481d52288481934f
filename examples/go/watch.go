package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kvix.examples/tour/kvixv1"
)

const reconnectPause = 200 * time.Millisecond

// Watcher tells every change below a prefix once and in order, however often the
// connection is lost: it goes on after the last version that was told.
type Watcher struct {
	KV     kvixv1.KvServiceClient
	Prefix []byte
	// After is the version up to which all is known: that of the last batch or, at first,
	// the store_version of any answer. Nil: what changes from now on. A program that keeps
	// it goes on where it was, after a restart of its own too.
	After *uint64
}

// Run hands each batch to take, until that wants no more (nil) or the watch cannot go on.
// A batch without events only says how far the watch is.
//
// A refusal of codes.OutOfRange (HISTORY_LOST) says that the changes after After are no
// longer all there: read the state anew, with IncludeCurrent, and go on from it.
func (w *Watcher) Run(ctx context.Context, take func(*kvixv1.WatchResponse) bool) error {
	for {
		err := w.follow(ctx, take)
		if !isLostConnection(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reconnectPause):
		}
	}
}

// follow watches until the stream ends. Of a commit that comes in several messages the
// version stands before it until the last: what is lost midway is told again, whole.
func (w *Watcher) follow(ctx context.Context, take func(*kvixv1.WatchResponse) bool) error {
	// A stream that is left while it goes on must be cancelled, or it stays for ever.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.KV.Watch(ctx, &kvixv1.WatchRequest{Prefix: w.Prefix, AfterVersion: w.After})
	if err != nil {
		return err
	}
	var parts []*kvixv1.WatchEvent
	for {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		parts = append(parts, answer.GetEvents()...)
		if answer.GetContinues() {
			continue
		}
		answer.Events, parts = parts, nil
		wantsMore := take(answer)
		version := answer.GetVersion()
		w.After = &version
		if !wantsMore {
			return nil
		}
	}
}

// isLostConnection says whether to watch again: the server was stopped, or is starting.
func isLostConnection(err error) bool {
	return status.Code(err) == codes.Unavailable || errors.Is(err, io.EOF)
}

func describe(event *kvixv1.WatchEvent) string {
	record := event.GetRecord()
	switch event.GetKind() {
	case kvixv1.WatchEventKind_WATCH_EVENT_KIND_SET:
		return fmt.Sprintf("set %s = %s", record.GetKey(), record.GetValue())
	case kvixv1.WatchEventKind_WATCH_EVENT_KIND_DELETE:
		return fmt.Sprintf("delete %s", record.GetKey())
	default:
		return fmt.Sprintf("expire %s", record.GetKey())
	}
}

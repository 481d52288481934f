// A client of kvix made of stock grpc-go and generated stubs, driven by a test.
//
//	driver HOST:PORT
//
// Reads calls from standard input, one JSON object a line, and makes each as
// soon as it is read, all on one connection:
//
//	{"id": 1, "service": "KvService", "method": "Get", "request": {"key": "aw=="}}
//
// `request` is protobuf's JSON; `raw`, in its place, is the request's bytes in
// base64, sent as they are; `requests`, of a call that takes a stream of them, are
// all that are sent. `timeoutMs`, `gzip` and `waitForReady` are optional.
// Writes the outcome of each call when it has one; of a stream the last message:
//
//	{"id": 1, "response": {...}}
//	{"id": 1, "error": {"code": "DATA_LOSS", "message": "...", "details": [...]}}
//
// `details` are the messages of google.rpc.Status, unpacked, each with its type.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	// Registers the types of error details, so that they are unpacked.
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"kvix.test/client/kvixv1"
)

const lineBytesMax = 64 << 20

type call struct {
	ID           int               `json:"id"`
	Service      string            `json:"service"`
	Method       string            `json:"method"`
	Request      json.RawMessage   `json:"request"`
	Raw          []byte            `json:"raw"`
	Requests     []json.RawMessage `json:"requests"`
	TimeoutMs    int               `json:"timeoutMs"`
	Gzip         bool              `json:"gzip"`
	WaitForReady bool              `json:"waitForReady"`
}

type failure struct {
	Code    string           `json:"code"`
	Message string           `json:"message"`
	Details []map[string]any `json:"details"`
}

type outcome struct {
	ID       int             `json:"id"`
	Response json.RawMessage `json:"response,omitempty"`
	Error    *failure        `json:"error,omitempty"`
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string                        { return "proto" }
func (rawCodec) Marshal(message any) ([]byte, error) { return message.([]byte), nil }
func (rawCodec) Unmarshal([]byte, any) error         { return nil }

type driver struct {
	connection *grpc.ClientConn
	clients    map[string]any
	output     sync.Mutex
}

func (d *driver) write(result outcome) {
	line, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	d.output.Lock()
	defer d.output.Unlock()
	fmt.Println(string(line))
}

// invoke makes the call with the method of the generated client.
func (d *driver) invoke(ctx context.Context, c call, options []grpc.CallOption) (json.RawMessage, error) {
	if c.Raw != nil {
		path := "/kvix.v1." + c.Service + "/" + c.Method
		options = append(options, grpc.ForceCodec(rawCodec{}))
		return json.RawMessage("{}"), d.connection.Invoke(ctx, path, c.Raw, nil, options...)
	}
	method := reflect.ValueOf(d.clients[c.Service]).MethodByName(c.Method)
	if c.Requests != nil {
		return sendAll(ctx, method, c.Requests, options)
	}
	request := reflect.New(method.Type().In(1).Elem())
	if err := protojson.Unmarshal(c.Request, request.Interface().(proto.Message)); err != nil {
		panic(fmt.Sprintf("%s: %v", c.Request, err))
	}
	arguments := []reflect.Value{reflect.ValueOf(ctx), request}
	for _, option := range options {
		arguments = append(arguments, reflect.ValueOf(option))
	}
	results := method.Call(arguments)
	if err, isError := results[1].Interface().(error); isError {
		return nil, err
	}
	if receive := results[0].MethodByName("Recv"); receive.IsValid() {
		return lastOf(receive)
	}
	return protojson.Marshal(results[0].Interface().(proto.Message))
}

// sendAll makes a call whose requests are a stream, and answers with its one answer, or
// with the last of a stream of them.
func sendAll(ctx context.Context, method reflect.Value, requests []json.RawMessage, options []grpc.CallOption) (json.RawMessage, error) {
	arguments := []reflect.Value{reflect.ValueOf(ctx)}
	for _, option := range options {
		arguments = append(arguments, reflect.ValueOf(option))
	}
	opened := method.Call(arguments)
	if err, isError := opened[1].Interface().(error); isError {
		return nil, err
	}
	send := opened[0].MethodByName("Send")
	for _, text := range requests {
		request := reflect.New(send.Type().In(0).Elem())
		if err := protojson.Unmarshal(text, request.Interface().(proto.Message)); err != nil {
			panic(fmt.Sprintf("%s: %v", text, err))
		}
		// A call that has ended says why when its answer is asked for.
		if _, isError := send.Call([]reflect.Value{request})[0].Interface().(error); isError {
			break
		}
	}
	if !opened[0].MethodByName("CloseAndRecv").IsValid() {
		opened[0].MethodByName("CloseSend").Call(nil)
		return lastOf(opened[0].MethodByName("Recv"))
	}
	results := opened[0].MethodByName("CloseAndRecv").Call(nil)
	if err, isError := results[1].Interface().(error); isError {
		return nil, err
	}
	return protojson.Marshal(results[0].Interface().(proto.Message))
}

// lastOf reads a stream to its end and answers with its last message.
func lastOf(receive reflect.Value) (json.RawMessage, error) {
	last := json.RawMessage("{}")
	for {
		results := receive.Call(nil)
		if err, isError := results[1].Interface().(error); isError {
			if errors.Is(err, io.EOF) {
				return last, nil
			}
			return nil, err
		}
		text, err := protojson.Marshal(results[0].Interface().(proto.Message))
		if err != nil {
			panic(err)
		}
		last = text
	}
}

func failureOf(err error) *failure {
	shown := status.Convert(err)
	result := &failure{
		Code:    code.Code(shown.Code()).String(),
		Message: shown.Message(),
		Details: []map[string]any{},
	}
	for _, detail := range shown.Details() {
		fields := map[string]any{}
		message, isMessage := detail.(proto.Message)
		if !isMessage {
			fields["type"] = fmt.Sprint(detail)
		} else {
			text, err := protojson.Marshal(message)
			if err == nil {
				err = json.Unmarshal(text, &fields)
			}
			if err != nil {
				panic(err)
			}
			fields["type"] = string(message.ProtoReflect().Descriptor().FullName())
		}
		result.Details = append(result.Details, fields)
	}
	return result
}

func (d *driver) run(c call) {
	timeout := time.Minute
	if c.TimeoutMs > 0 {
		timeout = time.Duration(c.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	options := []grpc.CallOption{grpc.WaitForReady(c.WaitForReady)}
	if c.Gzip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	response, err := d.invoke(ctx, c, options)
	if err != nil {
		d.write(outcome{ID: c.ID, Error: failureOf(err)})
		return
	}
	d.write(outcome{ID: c.ID, Response: response})
}

func main() {
	// Reconnect soon: the test restarts its server.
	soon := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
		MinConnectTimeout: time.Second,
	}
	connection, err := grpc.NewClient(
		os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(soon),
	)
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	d := &driver{
		connection: connection,
		clients: map[string]any{
			"KvService":     kvixv1.NewKvServiceClient(connection),
			"KvTextService": kvixv1.NewKvTextServiceClient(connection),
			"AdminService":  kvixv1.NewAdminServiceClient(connection),
		},
	}
	var underWay sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 64<<10), lineBytesMax)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		underWay.Add(1)
		go func() {
			defer underWay.Done()
			d.run(c)
		}()
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
	underWay.Wait()
}

package kvix.examples;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import kvix.v1.KvServiceGrpc;
import kvix.v1.KvServiceGrpc.KvServiceBlockingStub;
import kvix.v1.Kvix.CommitCondition;
import kvix.v1.Kvix.CommitRequest;
import kvix.v1.Kvix.ExistsRequest;
import kvix.v1.Kvix.GetRequest;
import kvix.v1.Kvix.IncrementMutation;
import kvix.v1.Kvix.ListedRecord;
import kvix.v1.Kvix.Mutation;
import kvix.v1.Kvix.Precondition;
import kvix.v1.Kvix.ScanRequest;
import kvix.v1.Kvix.SetRequest;
import kvix.v1.Kvix.SetResponse;
import kvix.v1.Kvix.WatchEvent;

/**
 * A tour of kvix from Java, with stock grpc-java and stubs that the build generates.
 *
 * <pre>
 *     tour [HOST:PORT]                 all of it, once
 *     tour [HOST:PORT] watch PREFIX    tells what changes, across lost connections
 * </pre>
 *
 * Keys below "tour:" are its own.
 */
public final class Tour {
  private static final String DEFAULT_ADDRESS = "127.0.0.1:5849";

  /**
   * The largest answer that is taken. It is the server's default, and grpc-java's. If the server
   * runs with a larger --max-message-bytes, say so here too: a client refuses by itself, with
   * RESOURCE_EXHAUSTED, what is larger than its own limit. Upload and Download carry values of up
   * to 100 MiB past it.
   */
  private static final int MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

  /** The deadline of every call but Scan and Watch. Without one, a call may never end. */
  private static final long CALL_TIMEOUT_S = 10;

  private final KvServiceBlockingStub streams;

  private Tour(ManagedChannel channel) {
    streams = KvServiceGrpc.newBlockingStub(channel);
  }

  public static void main(String... words) throws InterruptedException {
    ManagedChannel channel = connect(words.length > 0 ? words[0] : DEFAULT_ADDRESS);
    try {
      Tour tour = new Tour(channel);
      if (words.length == 3 && words[1].equals("watch")) {
        tour.tellChanges(bytes(words[2]));
      } else {
        tour.all();
      }
    } finally {
      channel.shutdownNow().awaitTermination(CALL_TIMEOUT_S, TimeUnit.SECONDS);
    }
  }

  /** The one channel of a program: it carries any number of calls, and comes back by itself. */
  private static ManagedChannel connect(String address) {
    return Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
        .maxInboundMessageSize(MESSAGE_BYTES_MAX)
        // A watch may be silent for long, so only pings find out that its server is gone. kvix
        // takes any number of them. Many other servers, and proxies, end a connection that pings
        // more often than every five minutes ("too_many_pings").
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(10, TimeUnit.SECONDS)
        .build();
  }

  /** The stub for a call of its own. A deadline counts from here, so it is made anew each time. */
  private KvServiceBlockingStub kv() {
    return streams.withDeadlineAfter(CALL_TIMEOUT_S, TimeUnit.SECONDS);
  }

  private void all() throws InterruptedException {
    setAndGet();
    expire();
    compareAndSet();
    commit();
    scan();
    watch();
  }

  private void setAndGet() {
    ByteString key = bytes("tour:greeting");
    // Once it is answered, no crash and no loss of power takes it away.
    kv().set(SetRequest.newBuilder().setKey(key).setValue(bytes("hello")).build());
    var found = kv().get(GetRequest.newBuilder().setKey(key).build());
    var missed = kv().get(GetRequest.newBuilder().setKey(bytes("tour:nothing")).build());
    // A miss is no error: there is no record.
    String value = found.getRecord().getValue().toStringUtf8();
    System.out.printf("get: %s, missing: %b%n", value, !missed.hasRecord());
  }

  private void expire() {
    ByteString key = bytes("tour:session");
    var exists = ExistsRequest.newBuilder().setKey(key).build();
    var set = SetRequest.newBuilder().setKey(key).setValue(bytes("ada"));
    kv().set(set.clone().setTtl(Duration.newBuilder().setSeconds(30 * 60)).build());
    boolean hasTtl = kv().exists(exists).hasExpireTime();
    // A Set without an expiry clears the old one; keep_ttl keeps it.
    kv().set(set.build());
    boolean isCleared = !kv().exists(exists).hasExpireTime();
    System.out.printf("ttl: %b, cleared: %b%n", hasTtl, isCleared);
  }

  /**
   * Writes only if the record still has the version that was read. Who comes second is told what
   * stands, in the same round trip.
   */
  private void compareAndSet() {
    var set = SetRequest.newBuilder().setKey(bytes("tour:document"));
    long version = kv().set(set.setValue(bytes("draft")).build()).getVersion();
    set.setPrecondition(Precondition.newBuilder().setVersion(version));
    SetResponse mine = kv().set(set.setValue(bytes("mine")).build());
    SetResponse yours = kv().set(set.setValue(bytes("yours")).build());
    String stands = yours.getCurrent().getValue().toStringUtf8();
    System.out.printf(
        "cas: %b, then %b, for it is %s%n", mine.getApplied(), yours.getApplied(), stands);
  }

  /** Moves 30 from one account to another: both or neither, also across a crash. */
  private void commit() {
    ByteString from = bytes("tour:account:a");
    ByteString to = bytes("tour:account:b");
    long version =
        kv().set(SetRequest.newBuilder().setKey(from).setValue(bytes("100")).build()).getVersion();
    kv().set(SetRequest.newBuilder().setKey(to).setValue(bytes("0")).build());
    var isUnchanged = Precondition.newBuilder().setVersion(version);
    var request =
        CommitRequest.newBuilder()
            // Under an id of its own a request may be sent again after an answer that was lost: it
            // is done once, and a repeat gets the first answer.
            .setRequestId(randomId())
            .addConditions(CommitCondition.newBuilder().setKey(from).setPrecondition(isUnchanged))
            .addMutations(add(from, -30))
            .addMutations(add(to, 30))
            .build();
    var moved = kv().commit(request);
    var again = kv().commit(request);
    System.out.printf(
        "commit: %b, a: %d, b: %d, repeated: %b%n",
        moved.getApplied(),
        again.getResults(0).getValue(),
        again.getResults(1).getValue(),
        again.getRepeated());
  }

  private static Mutation add(ByteString key, long delta) {
    var increment = IncrementMutation.newBuilder().setKey(key).setDelta(delta);
    return Mutation.newBuilder().setIncrement(increment).build();
  }

  /**
   * Reads a range in key order, all of it as it stood at one point in time. It has no deadline; who
   * may leave early runs it in a context that can be cancelled, as Watcher does.
   */
  private void scan() {
    var line = new StringJoiner(" ", "scan: ", "");
    var request = ScanRequest.newBuilder().setPrefix(bytes("tour:account:")).build();
    streams
        .scan(request)
        .forEachRemaining(
            part -> {
              for (ListedRecord listed : part.getRecordsList()) {
                var record = listed.getRecord();
                String value = record.getValue().toStringUtf8();
                line.add(record.getKey().toStringUtf8() + "=" + value);
              }
            });
    System.out.println(line);
  }

  /**
   * Leaves after each change and comes back with the last version: nothing that happened meanwhile
   * is missed, and nothing comes twice.
   */
  private void watch() throws InterruptedException {
    ByteString key = bytes("tour:watched:light");
    // The store_version of an answer is where a watch without a gap begins.
    var begun = kv().exists(ExistsRequest.newBuilder().setKey(key).build());
    var watcher = new Watcher(streams, bytes("tour:watched:"), begun.getStoreVersion());
    List<String> told = new ArrayList<>();
    for (String turn : List.of("1", "2", "3")) {
      kv().set(SetRequest.newBuilder().setKey(key).setValue(bytes(turn)).build());
      watcher.run(
          events -> {
            for (WatchEvent event : events) {
              told.add("(" + Watcher.describe(event) + ")");
            }
            return events.isEmpty();
          });
    }
    System.out.println("watch: " + String.join(" ", told));
  }

  /** Prints what changes below the prefix until the program is ended. */
  private void tellChanges(ByteString prefix) throws InterruptedException {
    new Watcher(streams, prefix, null)
        .run(
            events -> {
              if (events.isEmpty()) {
                System.out.println("watching");
              }
              events.forEach(event -> System.out.println(Watcher.describe(event)));
              return true;
            });
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private static ByteString randomId() {
    UUID id = UUID.randomUUID();
    ByteBuffer buffer = ByteBuffer.allocate(16);
    buffer.putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits()).flip();
    return ByteString.copyFrom(buffer);
  }
}

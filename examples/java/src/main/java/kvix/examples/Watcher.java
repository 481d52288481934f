package kvix.examples;

import com.google.protobuf.ByteString;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import kvix.v1.KvServiceGrpc.KvServiceBlockingStub;
import kvix.v1.Kvix.WatchEvent;
import kvix.v1.Kvix.WatchRequest;
import kvix.v1.Kvix.WatchResponse;

/**
 * Tells every change below a prefix once and in order, however often the connection is lost: it
 * goes on after the last version that was told. For one thread.
 */
final class Watcher {
  private static final long RECONNECT_PAUSE_MS = 200;

  private final KvServiceBlockingStub kv;
  private final ByteString prefix;

  /**
   * The version up to which all is known: that of the last batch. A program that keeps it goes on
   * where it was, after a restart of its own too.
   */
  private Long after;

  /**
   * @param after where to begin: the store_version of any answer; null: what changes from now on
   */
  Watcher(KvServiceBlockingStub kv, ByteString prefix, Long after) {
    this.kv = kv;
    this.prefix = prefix;
    this.after = after;
  }

  /**
   * Hands each batch to {@code take} until that wants no more, or throws what the watch cannot go
   * on from. A batch without events only says how far the watch is.
   *
   * <p>A refusal of OUT_OF_RANGE (HISTORY_LOST) says that the changes after {@code after} are no
   * longer all there: read the state anew, with include_current, and go on from it.
   */
  void run(Predicate<List<WatchEvent>> take) throws InterruptedException {
    while (true) {
      try {
        if (!follow(take)) {
          return;
        }
      } catch (StatusRuntimeException error) {
        // The server was stopped, or is starting; all else is for the caller.
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE) {
          throw error;
        }
      }
      Thread.sleep(RECONNECT_PAUSE_MS);
    }
  }

  /**
   * Watches until the stream ends (true) or nobody wants more (false). Of a commit that comes in
   * several messages the version stands before it until the last: what is lost midway is told
   * again, whole.
   */
  private boolean follow(Predicate<List<WatchEvent>> take) {
    var request = WatchRequest.newBuilder().setPrefix(prefix);
    if (after != null) {
      request.setAfterVersion(after);
    }
    // A stream that is left while it goes on must be cancelled, or it stays for ever.
    try (var stream = Context.current().withCancellation()) {
      Context before = stream.attach();
      try {
        var answers = kv.watch(request.build());
        List<WatchEvent> events = new ArrayList<>();
        while (answers.hasNext()) {
          WatchResponse answer = answers.next();
          events.addAll(answer.getEventsList());
          if (answer.getContinues()) {
            continue;
          }
          boolean wantsMore = take.test(events);
          after = answer.getVersion();
          if (!wantsMore) {
            return false;
          }
          events = new ArrayList<>();
        }
        return true;
      } finally {
        stream.detach(before);
      }
    }
  }

  /** One change, for people. */
  static String describe(WatchEvent event) {
    String key = event.getRecord().getKey().toStringUtf8();
    return switch (event.getKind()) {
      case WATCH_EVENT_KIND_SET ->
          "set " + key + " = " + event.getRecord().getValue().toStringUtf8();
      case WATCH_EVENT_KIND_DELETE -> "delete " + key;
      default -> "expire " + key;
    };
  }
}

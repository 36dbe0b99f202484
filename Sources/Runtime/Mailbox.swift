#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A queue that one thread empties and any thread fills.
///
/// `@unchecked Sendable`: everything is behind `mutex`. A condition variable is needed, which
/// `Synchronization` does not have.
final class Mailbox<Message: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let filled = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var messages: [Message] = []
  private var isClosed = false
  private var isFinished = false
  private var finishers: [@Sendable () -> Void] = []

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(filled, nil)
  }

  deinit {
    pthread_cond_destroy(filled)
    pthread_mutex_destroy(mutex)
    filled.deallocate()
    mutex.deallocate()
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Adds a message, also behind a close: the owner empties the box before it ends.
  func post(_ message: Message) {
    locked {
      precondition(!isFinished, "the engine has been shut down")
      messages.append(message)
      pthread_cond_signal(filled)
    }
  }

  /// Waits for a message; nil once the box is closed and empty.
  func next() -> Message? {
    locked {
      while messages.isEmpty && !isClosed { pthread_cond_wait(filled, mutex) }
      return messages.isEmpty ? nil : messages.removeFirst()
    }
  }

  /// Lets the owner end once the box is empty.
  func close() {
    locked {
      isClosed = true
      pthread_cond_signal(filled)
    }
  }

  /// The owner's last act.
  func finish() {
    let calls = locked {
      isFinished = true
      defer { finishers = [] }
      return finishers
    }
    for call in calls { call() }
  }

  /// Calls `body` after ``finish()``, at once where that was before.
  func whenFinished(_ body: @escaping @Sendable () -> Void) {
    let isOver = locked {
      if !isFinished { finishers.append(body) }
      return isFinished
    }
    if isOver { body() }
  }
}

/// Runs `body` on a new thread.
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  #if canImport(Darwin)
    var thread: pthread_t?
  #else
    var thread = pthread_t()
  #endif
  let box = Unmanaged.passRetained(Box(body))
  let status = pthread_create(
    &thread, nil,
    { box in
      #if canImport(Darwin)
        Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body()
      #else
        if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
      #endif
      return nil
    }, box.toOpaque())
  precondition(status == 0, "the system refuses a thread")
  #if canImport(Darwin)
    if let thread { pthread_detach(thread) }
  #else
    pthread_detach(thread)
  #endif
}

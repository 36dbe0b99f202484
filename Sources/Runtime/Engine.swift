/// Runs one ``EngineLoop`` on a thread of its own, behind a mailbox.
///
/// Calls into OpenCL and BLAS block, so they must not sit on Swift's cooperative pool; and one
/// owner needs no locks around what it owns.
package final class Engine: Sendable {
  package typealias Job = @Sendable (EngineLoop) -> Void

  private let mailbox: Mailbox<Job>

  /// Starts the thread and waits until `makeLoop` has run on it.
  package init<Failure: Error>(
    _ makeLoop: @escaping @Sendable () throws(Failure) -> EngineLoop
  ) async throws(Failure) {
    let mailbox = Mailbox<Job>()
    self.mailbox = mailbox
    let result: Result<Void, Failure> = await withCheckedContinuation { continuation in
      startThread {
        Self.serve(mailbox, makeLoop) { continuation.resume(returning: $0) }
        mailbox.finish()
      }
    }
    try result.get()
  }

  deinit { mailbox.close() }

  /// Makes the loop, reports how that went, and does jobs until the mailbox closes. The loop and
  /// its device memory are gone when this returns.
  private static func serve<Failure: Error>(
    _ mailbox: Mailbox<Job>, _ makeLoop: () throws(Failure) -> EngineLoop,
    report: (Result<Void, Failure>) -> Void
  ) {
    let loop: EngineLoop
    do throws(Failure) { loop = try makeLoop() } catch { return report(.failure(error)) }
    report(.success(()))
    while let job = mailbox.next() { job(loop) }
  }

  /// Runs `body` on the engine's thread and returns its result.
  package func perform<Success: Sendable, Failure: Error>(
    _ body: @escaping @Sendable (EngineLoop) throws(Failure) -> Success
  ) async throws(Failure) -> Success {
    let result: Result<Success, Failure> = await withCheckedContinuation { continuation in
      mailbox.post { loop in
        continuation.resume(returning: Result { () throws(Failure) in try body(loop) })
      }
    }
    return try result.get()
  }

  /// Ends the thread once the jobs before it are done, and waits until device memory is free.
  package func shutDown() async {
    mailbox.close()
    await withCheckedContinuation { continuation in
      mailbox.whenFinished { continuation.resume() }
    }
  }
}

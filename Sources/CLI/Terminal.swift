import Apus
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where output goes, and what a person at the keyboard asks for.
enum Terminal {
  /// Whether standard error is a terminal: only then progress is drawn.
  static var isInteractive: Bool { isatty(STDERR_FILENO) != 0 }

  /// Whether text is piped in.
  static var hasPipedInput: Bool { isatty(STDIN_FILENO) == 0 }

  /// Whether answers are shown to a person.
  private static let showsAnswers = isatty(STDOUT_FILENO) != 0

  /// Why standard output takes no more, as `errno` says it; 0 while it does.
  private static let failure = Atomic<Int32>(0)

  /// Whether standard output takes no more: then there is nothing left to do.
  static var isGone: Bool { failure.load(ordering: .relaxed) != 0 }

  /// Writes text about files and devices to standard output at once, whatever they call themselves.
  static func write(_ text: String) { draw(text.escapingControls) }

  /// Writes what a model says to standard output: to a program byte for byte, to a person without what
  /// could steer the terminal.
  static func speak(_ text: String) { draw(showsAnswers ? text.droppingControls : text) }

  /// Writes text to standard output as it is.
  static func draw(_ text: String) {
    guard !isGone, !write(Array(text.utf8), to: STDOUT_FILENO) else { return }
    failure.store(errno, ordering: .relaxed)
  }

  /// Writes a line to standard error.
  static func note(_ line: String) {
    _ = write(Array("\(line.escapingControls)\n".utf8), to: STDERR_FILENO)
  }

  /// Draws a line over the last one, on a terminal only.
  static func progress(_ line: String) {
    guard isInteractive else { return }
    _ = write(Array("\r\u{1B}[2K\(line.inOneLine)".utf8), to: STDERR_FILENO)
  }

  /// Says so where not everything could be written to standard output. A closed pipe is no failure:
  /// whoever read has seen enough.
  static func finish() throws(ApusError) {
    // Some file systems say only when a file is closed that there was no room.
    if !isGone, close(dup(STDOUT_FILENO)) != 0, errno != EBADF {
      failure.store(errno, ordering: .relaxed)
    }
    let reason = failure.load(ordering: .relaxed)
    guard reason != 0, reason != EPIPE else { return }
    throw ApusError(
      .file, "standard output cannot be written: \(String(cString: strerror(reason)))")
  }

  /// Writes bytes to a file.
  ///
  /// - Returns: Whether all could be written; where not, `errno` says why.
  static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
    bytes.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { write($0, buffer.count, to: file) } ?? true
    }
  }

  /// Writes bytes, and does nothing that a signal's handler may not do.
  static func write(_ bytes: UnsafePointer<UInt8>, _ count: Int, to file: Int32) -> Bool {
    var done = 0
    while done < count {
      #if canImport(Glibc)
        let written = Glibc.write(file, bytes + done, count - done)
      #elseif canImport(Musl)
        let written = Musl.write(file, bytes + done, count - done)
      #else
        let written = Darwin.write(file, bytes + done, count - done)
      #endif
      if written < 0, errno == EINTR { continue }
      if written <= 0 { return false }
      done += written
    }
    return true
  }
}

/// Ctrl-C: the first asks the command to stop, the second ends the process.
enum Interrupt {
  private static let raised = Atomic(false)
  /// A pipe with a byte in it for each Ctrl-C, so that a wait for input can wait for both: the signal
  /// itself may arrive on any thread. Minus one where there is none.
  private static let pipe: (read: Int32, write: Int32) = {
    var ends: [Int32] = [-1, -1]
    #if canImport(Glibc)
      _ = Glibc.pipe(&ends)
    #elseif canImport(Musl)
      _ = Musl.pipe(&ends)
    #else
      _ = Darwin.pipe(&ends)
    #endif
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    return (ends[0], ends[1])
  }()

  /// Whether Ctrl-C was pressed.
  static var isRaised: Bool { raised.load(ordering: .relaxed) }

  /// Catches the signal from now on.
  static func install() {
    _ = pipe
    signal(SIGINT) { _ in
      guard Interrupt.raised.exchange(true, ordering: .relaxed) else {
        var byte: UInt8 = 0
        _ = Terminal.write(&byte, 1, to: Interrupt.pipe.write)
        return
      }
      TerminalMode.restore()
      signal(SIGINT, SIG_DFL)
      raise(SIGINT)
    }
    ignoreClosedPipes()
  }

  /// A reader that goes away ends the output, not the process with a signal.
  static func ignoreClosedPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Forgets what was pressed: what it asked for has been done.
  static func clear() {
    var bytes = [UInt8](repeating: 0, count: 16)
    while read(pipe.read, &bytes, bytes.count) > 0 {}
    raised.store(false, ordering: .relaxed)
  }

  /// Waits until a file has bytes to read, or has ended.
  ///
  /// - Returns: Whether it has; false where Ctrl-C was pressed.
  static func waits(for file: Int32) -> Bool {
    var files = [
      pollfd(fd: pipe.read, events: Int16(POLLIN), revents: 0),
      pollfd(fd: file, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&files, nfds_t(files.count), -1) < 0, errno == EINTR {}
    return files[0].revents & Int16(POLLIN) == 0
  }
}

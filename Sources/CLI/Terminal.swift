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

  /// Writes text to standard output at once.
  static func write(_ text: String) { write(text, to: STDOUT_FILENO) }

  /// Writes a line to standard error.
  static func note(_ line: String) { write("\(line)\n", to: STDERR_FILENO) }

  /// Draws a line over the last one, on a terminal only.
  static func progress(_ line: String) {
    if isInteractive { write("\r\u{1B}[2K\(line)", to: STDERR_FILENO) }
  }

  private static func write(_ text: String, to file: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      #if canImport(Glibc)
        let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      #elseif canImport(Musl)
        let count = bytes.withUnsafeBytes { Musl.write(file, $0.baseAddress, $0.count) }
      #else
        let count = bytes.withUnsafeBytes { Darwin.write(file, $0.baseAddress, $0.count) }
      #endif
      if count < 0, errno == EINTR { continue }
      // A closed pipe: whoever read has seen enough.
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }
}

/// Ctrl-C: the first asks the command to stop, the second ends the process.
enum Interrupt {
  private static let raised = Atomic(false)

  /// Whether Ctrl-C was pressed.
  static var isRaised: Bool { raised.load(ordering: .relaxed) }

  /// Catches the signal from now on.
  static func install() {
    signal(SIGINT) { _ in
      Interrupt.raised.store(true, ordering: .relaxed)
      signal(SIGINT, SIG_DFL)
    }
    // A reader that goes away ends the output, not the process with a signal.
    signal(SIGPIPE, SIG_IGN)
  }
}

import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The state of the terminal at standard input. Whatever ends the process, but for a kill that
/// nobody can catch, the state is put back as it was found.
enum TerminalMode {
  /// As it was found; written once, before the first change.
  private nonisolated(unsafe) static let found = UnsafeMutablePointer<termios>.allocate(capacity: 1)
  private static let isChanged = Atomic(false)

  /// Bracketed paste: what is pasted comes with marks around it.
  private static let pasteOn = "\u{1B}[?2004h"
  private nonisolated(unsafe) static let pasteOff:
    (bytes: UnsafeMutablePointer<UInt8>, count: Int) =
      {
        let text = Array("\u{1B}[?2004l".utf8)
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: text.count)
        bytes.initialize(from: text, count: text.count)
        return (bytes, text.count)
      }()

  /// Whether a person sits at both ends, at a terminal that knows escape sequences.
  static var isInteractive: Bool {
    guard isatty(STDIN_FILENO) != 0, isatty(STDOUT_FILENO) != 0 else { return false }
    return getenv("TERM").map { String(cString: $0) } != "dumb"
  }

  /// Columns and rows, or what a terminal has where it does not say.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
    else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Remembers the state and sees to it that it comes back.
  ///
  /// - Returns: Whether there is a terminal to speak of.
  static func prepare() -> Bool {
    guard tcgetattr(STDIN_FILENO, found) == 0 else { return false }
    _ = pasteOff
    atexit { TerminalMode.restore() }
    return true
  }

  /// Ends the process as the signal would, with the terminal as it was found.
  ///
  /// This is said again at each change of mode: a driver may bring handlers of its own (LLVM's, in
  /// PoCL), which at the first signal put back those that they once found.
  private static func catchSignals() {
    for number in [SIGTERM, SIGHUP, SIGQUIT] {
      signal(number) { number in
        TerminalMode.restore()
        signal(number, SIG_DFL)
        raise(number)
      }
    }
    Interrupt.install()
  }

  /// Every key is a byte to read, also Ctrl-C.
  static func edit() {
    change { $0.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN) }
    Terminal.draw(pasteOn)
  }

  /// Nothing is shown that is typed, it waits to be read, and goes on waiting when Ctrl-C, which is
  /// a signal now, ends the answer.
  static func listen() {
    Terminal.draw("\u{1B}[?2004l")
    change {
      $0.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
      $0.c_lflag |= tcflag_t(ISIG | NOFLSH)
      withUnsafeMutableBytes(of: &$0.c_cc) { $0[Int(VSUSP)] = 0 }
    }
  }

  private static func change(_ body: (inout termios) -> Void) {
    var state = found.pointee
    state.c_iflag &= ~tcflag_t(ICRNL | INLCR | IGNCR | IXON | BRKINT | ISTRIP)
    withUnsafeMutableBytes(of: &state.c_cc) {
      $0[Int(VMIN)] = 1
      $0[Int(VTIME)] = 0
    }
    body(&state)
    catchSignals()
    isChanged.store(true, ordering: .relaxed)
    tcsetattr(STDIN_FILENO, TCSADRAIN, &state)
  }

  /// Puts back what was found. It may be called from a signal's handler.
  static func restore() {
    guard isChanged.exchange(false, ordering: .relaxed) else { return }
    _ = Terminal.write(pasteOff.bytes, pasteOff.count, to: STDOUT_FILENO)
    tcsetattr(STDIN_FILENO, TCSANOW, found)
  }
}

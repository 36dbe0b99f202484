#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A text that somebody entered, or why there is none.
enum Entry {
  case text(String)
  /// Ctrl-C.
  case interrupted
  /// Ctrl-D, the end of a file, or a terminal that is gone.
  case ended
}

/// Bytes of standard input, one at a time.
struct StandardInput {
  enum Next {
    case byte(UInt8)
    case interrupted
    case ended
  }

  private var bytes: [UInt8] = []
  private var place = 0
  private var chunk = [UInt8](repeating: 0, count: 4096)

  /// Whether bytes have been read that nobody has taken.
  var hasMore: Bool { place < bytes.count }

  mutating func next() -> Next {
    if !hasMore {
      guard Interrupt.waits(for: STDIN_FILENO) else {
        Interrupt.clear()
        return .interrupted
      }
      let count = chunk.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, $0.count) }
      guard count > 0 else { return .ended }
      (bytes, place) = (Array(chunk[..<count]), 0)
    }
    place += 1
    return .byte(bytes[place - 1])
  }
}

/// Reads texts: with an editor where a person types, line by line where a program writes.
struct LineReader {
  private var input = StandardInput()
  private var decoder = KeyDecoder()
  private var editor: LineEditor
  private var view = LineView()
  private let isInteractive: Bool

  init(isInteractive: Bool, history: [String]) {
    self.isInteractive = isInteractive
    editor = LineEditor(history: history)
  }

  /// Notes a text to go back to.
  mutating func remember(_ text: String) { editor.remember(text) }

  mutating func read(prompt: String) -> Entry { isInteractive ? edit(prompt) : line() }

  // MARK: A program

  private mutating func line() -> Entry {
    var bytes: [UInt8] = []
    while true {
      switch input.next() {
      case .interrupted: return .interrupted
      case .ended:
        return bytes.isEmpty ? .ended : .text(String(decoding: bytes, as: UTF8.self))
      case .byte(0x0A):
        if bytes.last == 0x0D { bytes.removeLast() }
        // As at the keyboard: the line goes on where a backslash ends it.
        guard bytes.last == UInt8(ascii: "\\") else {
          return .text(String(decoding: bytes, as: UTF8.self))
        }
        bytes[bytes.count - 1] = 0x0A
      case .byte(let byte): bytes.append(byte)
      }
    }
  }

  // MARK: A person

  private mutating func edit(_ prompt: String) -> Entry {
    TerminalMode.edit()
    defer { TerminalMode.listen() }
    show(prompt)
    while true {
      let request: LineEditor.Request
      switch input.next() {
      case .ended:
        leave(prompt)
        return .ended
      case .interrupted: request = .interrupt
      case .byte(let byte):
        guard let key = decoder.decode(byte) else { continue }
        request = editor.press(key)
      }
      switch request {
      // Of a burst of keys only the last state is worth drawing.
      case .show: if !input.hasMore { show(prompt) }
      case .submit(let text):
        Terminal.draw(view.draw(layout(prompt, text, ""), height: TerminalMode.size.rows))
        Terminal.draw(view.leave())
        return .text(text)
      case .interrupt:
        leave(prompt)
        let hadText = !editor.text.isEmpty
        editor.clear()
        if !hadText { return .interrupted }
        show(prompt)
      case .end:
        leave(prompt)
        return .ended
      case .clearScreen:
        Terminal.draw(view.erase() + "\u{1B}[H\u{1B}[2J")
        show(prompt)
      case .suspend:
        leave(prompt)
        TerminalMode.restore()
        raise(SIGTSTP)
        TerminalMode.edit()
        show(prompt)
      }
    }
  }

  private func layout(_ prompt: String, _ before: String, _ after: String) -> LineLayout {
    LineLayout(
      prompt: prompt, before: before, after: after, columns: TerminalMode.size.columns)
  }

  private mutating func show(_ prompt: String) {
    Terminal.draw(
      view.draw(layout(prompt, editor.before, editor.after), height: TerminalMode.size.rows))
  }

  private mutating func leave(_ prompt: String) {
    show(prompt)
    Terminal.draw(view.leave())
  }
}

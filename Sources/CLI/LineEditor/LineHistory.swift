package import Apus

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What was entered in earlier sessions, kept in a file that only its owner can read: a text a line,
/// with line feeds and backslashes escaped.
package struct LineHistory {
  /// The latest texts that a session begins with.
  static let length = 1000

  private let path: String

  package init(path: String) { self.path = path }

  /// `apus/chat-history` in `$XDG_STATE_HOME`, else in `~/.local/state`.
  static var standard: LineHistory {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    let folder = variable("XDG_STATE_HOME") ?? "\(variable("HOME") ?? ".")/.local/state"
    return LineHistory(path: "\(folder)/apus/chat-history")
  }

  /// The texts, the latest last; none where there is no file. A file that has become long is
  /// shortened on the way.
  package func load() -> [String] {
    guard let bytes = try? Input.bytes(path) else { return [] }
    let lines = bytes.split(separator: 0x0A)
    let latest = lines.suffix(Self.length)
    if lines.count > 2 * Self.length {
      try? Output.replace(path, with: Array(latest.joined(separator: [0x0A])) + [0x0A], mode: 0o600)
    }
    return latest.map { Self.unescaped(String(decoding: $0, as: UTF8.self)) }
  }

  /// Adds a text to the end of the file.
  package func append(_ text: String) throws(ApusError) {
    try Output.makeFolders(above: path)
    try Output.append(Array((Self.escaped(text) + "\n").utf8), to: path, mode: 0o600)
  }

  static func escaped(_ text: String) -> String {
    text.reduce(into: "") {
      $0 += $1 == "\\" ? "\\\\" : $1 == "\n" ? "\\n" : String($1)
    }
  }

  static func unescaped(_ text: String) -> String {
    var isEscaped = false
    return text.reduce(into: "") { result, character in
      if isEscaped {
        result.append(character == "n" ? "\n" : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        result.append(character)
      }
    }
  }
}

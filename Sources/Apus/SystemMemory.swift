#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the system says about memory, in bytes; nil where it does not say.
package enum SystemMemory {
  /// What can be allocated before the system runs out: free memory, caches that it would give up and
  /// swap space, within the limit of the process's control group.
  package static var available: Int? {
    var available: Int?
    if let text = text(of: "/proc/meminfo"), let memory = number("MemAvailable:", in: text) {
      available = (memory + (number("SwapFree:", in: text) ?? 0)) * 1024
    }
    guard let room = roomInControlGroup else { return available }
    return min(available ?? room, room)
  }

  /// What a process holds in memory at one time.
  package struct Footprint: Sendable, Hashable {
    /// Memory of its own.
    package var anonymous: Int
    /// Pages of mapped files, which the system may take back.
    package var file: Int
  }

  /// What this process holds.
  package static var footprint: Footprint? {
    guard let text = text(of: "/proc/self/status"), let anonymous = number("RssAnon:", in: text),
      let file = number("RssFile:", in: text)
    else { return nil }
    return Footprint(anonymous: anonymous * 1024, file: file * 1024)
  }

  /// How much memory of its own the process has gained.
  static func growth(since before: Footprint?) -> Int? {
    guard let before, let footprint else { return nil }
    return footprint.anonymous - before.anonymous
  }

  /// What the control group (version 2) still allows, caches counted as free.
  private static var roomInControlGroup: Int? {
    guard let text = text(of: "/proc/self/cgroup"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
    else { return nil }
    let folder = "/sys/fs/cgroup\(line.dropFirst(3))"
    guard let limit = self.text(of: folder + "/memory.max").flatMap({ integer($0) }),
      let used = self.text(of: folder + "/memory.current").flatMap({ integer($0) })
    else { return nil }
    let cached = self.text(of: folder + "/memory.stat").flatMap { number("file ", in: $0) } ?? 0
    return max(0, limit - used + cached)
  }

  private static func integer(_ text: String) -> Int? {
    Int(text.filter { !$0.isWhitespace })
  }

  /// The number behind a key at the beginning of a line.
  package static func number(_ key: String, in text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let words = line.dropFirst(key.count).split(whereSeparator: \.isWhitespace)
      return words.first.flatMap { Int($0) }
    }
    return nil
  }

  /// The text of a small file of the system.
  private static func text(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        read(file, $0.baseAddress.map { $0 + filled }, $0.count - filled)
      }
      if count <= 0 { break }
      filled += count
    }
    return filled > 0 ? String(decoding: bytes[..<filled], as: UTF8.self) : nil
  }
}

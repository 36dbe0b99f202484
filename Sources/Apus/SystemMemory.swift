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
  /// swap space, within the limits of the process's control groups.
  package static var available: Int? {
    var available: Int?
    if let text = text(of: "/proc/meminfo"), let memory = number("MemAvailable:", in: text) {
      available = (memory + (number("SwapFree:", in: text) ?? 0)) * 1024
    }
    guard let groups = text(of: "/proc/self/cgroup"),
      let room = room(inControlGroups: groups, mount: "/sys/fs/cgroup")
    else { return available }
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

  /// What the process's control groups still allow, caches counted as free: the least of its own group
  /// and of all around it, since each counts what is in the groups below.
  ///
  /// - Parameters:
  ///   - membership: What the system says of the process, as in `/proc/self/cgroup`.
  ///   - mount: Where groups are folders.
  /// - Returns: Bytes, or nil where no group is limited.
  package static func room(inControlGroups membership: String, mount: String) -> Int? {
    var least: Int?
    for line in membership.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let version: ControlGroupFiles
      if fields[0] == "0", fields[1].isEmpty {
        version = .unified
      } else if fields[1].split(separator: ",").contains("memory") {
        version = .memoryController
      } else {
        continue
      }
      var names = fields[2].split(separator: "/").map { String($0) }.filter { $0 != ".." }
      while true {
        let folder = ([mount + version.folder] + names).joined(separator: "/")
        if let room = room(in: folder, version) { least = min(least ?? room, room) }
        if names.popLast() == nil { break }
      }
    }
    return least
  }

  /// The names by which the two versions of control groups tell the same things.
  private struct ControlGroupFiles {
    var folder: String
    var limit: String
    var used: String
    var caches: String
    var shared: String

    static let unified = ControlGroupFiles(
      folder: "", limit: "memory.max", used: "memory.current", caches: "file ", shared: "shmem ")
    static let memoryController = ControlGroupFiles(
      folder: "/memory", limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes",
      caches: "total_cache ", shared: "total_shmem ")
  }

  private static func room(in folder: String, _ files: ControlGroupFiles) -> Int? {
    // No limit is a word in one version and a number that no machine has in the other.
    guard let limit = text(of: "\(folder)/\(files.limit)").flatMap({ integer($0) }),
      limit < 1 << 60, let used = text(of: "\(folder)/\(files.used)").flatMap({ integer($0) })
    else { return nil }
    let statistics = text(of: "\(folder)/memory.stat") ?? ""
    // Shared memory is counted among the caches, and cannot be given up.
    let caches =
      (number(files.caches, in: statistics) ?? 0) - (number(files.shared, in: statistics) ?? 0)
    return max(0, limit - used + max(0, caches))
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

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A folder that belongs to the user alone, held open: what is done in it cannot be led elsewhere by
/// somebody who puts another in its place.
package final class CacheFolder: Sendable {
  let path: String
  private let file: Int32

  /// Why a folder is not used.
  package struct Refusal: Error {
    package var reason: String

    package init(reason: String) { self.reason = reason }
  }

  /// Whether there is something of that name.
  package static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Opens the folder; makes it, and those above, where they are missing.
  package init(_ path: String) throws(Refusal) {
    self.path = path
    for end in path.indices.dropFirst() where path[end] == "/" {
      mkdir(String(path[..<end]), 0o700)
    }
    mkdir(path, 0o700)
    file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard file >= 0 else {
      let error = errno
      var status = stat()
      let isLink = lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
      throw Refusal(
        reason: isLink
          ? "\(path) is a symbolic link, where a folder must be: remove it"
          : "\(path) cannot be opened: \(String(cString: strerror(error)))")
    }
    var status = stat()
    let isKnown = fstat(file, &status) == 0
    if !isKnown || status.st_uid != geteuid() {
      close(file)
      throw Refusal(reason: "\(path) belongs to another user: remove it, or set APUS_CACHE")
    }
    if status.st_mode & 0o077 != 0 {
      close(file)
      throw Refusal(
        reason: "\(path) can be read or written by other users: chmod 700, or remove it")
    }
  }

  deinit { close(file) }

  static let draftEnding = ".part"

  /// A file as the folder shows it.
  package struct Item {
    package var name: String
    var bytes: Int
    /// When it was last used, in seconds since 1970.
    var used: Int
  }

  /// Its entries and drafts; what else lies there is none of ours.
  package func items(ending: String = CacheKey.ending) -> [Item] {
    let copy = openat(file, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0 else { return [] }
    guard let listing = fdopendir(copy) else {
      close(copy)
      return []
    }
    defer { closedir(listing) }
    var items: [Item] = []
    while let entry = readdir(listing) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var status = stat()
      guard name.hasSuffix(ending) || name.hasSuffix(Self.draftEnding),
        fstatat(file, name, &status, AT_SYMLINK_NOFOLLOW) == 0,
        status.st_mode & S_IFMT != S_IFDIR
      else { continue }
      items.append(Item(name: name, bytes: Int(status.st_size), used: Self.seconds(status)))
    }
    return items
  }

  private static func seconds(_ status: stat) -> Int {
    #if canImport(Darwin)
      Int(status.st_mtimespec.tv_sec)
    #else
      Int(status.st_mtim.tv_sec)
    #endif
  }

  /// The first bytes of a file of the user's own, `count` at most; nil for anything else.
  package func read(_ name: String, upTo count: Int = .max) -> [UInt8]? {
    // A planted pipe must not make the open wait.
    let entry = openat(file, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    guard entry >= 0 else { return nil }
    defer { close(entry) }
    var status = stat()
    guard fstat(entry, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_uid == geteuid()
    else { return nil }
    let wanted = min(Int(status.st_size), count)
    return [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
      while initialized < wanted {
        let count = recall {
          pread(
            entry, UnsafeMutableRawBufferPointer(buffer).baseAddress.map { $0 + initialized },
            wanted - initialized, off_t(initialized))
        }
        guard count > 0 else { return }
        initialized += count
      }
    }
  }

  /// Puts a file in the place of the one there, whole or not at all; says why it could not.
  package func replace(_ name: String, with bytes: [UInt8]) -> String? {
    let draft = ".\(UInt64.random(in: 0 ... .max))\(Self.draftEnding)"
    let entry = openat(file, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard entry >= 0 else { return failure() }
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { rest in
        recall { write(entry, rest.baseAddress, rest.count) }
      }
      guard count > 0 else { break }
      written += count
    }
    let isWhole = written == bytes.count
    var complaint = isWhole ? nil : failure()
    // A full network disk may tell only now.
    if close(entry) != 0, isWhole { complaint = failure() }
    if complaint == nil, renameat(file, draft, file, name) != 0 { complaint = failure() }
    if complaint != nil { unlinkat(file, draft, 0) }
    return complaint
  }

  /// Seconds since a file was written or touched.
  func age(of name: String) -> Int? {
    var status = stat()
    guard fstatat(file, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    return time(nil) - Self.seconds(status)
  }

  /// Removes a file; whether it is gone.
  @discardableResult
  package func remove(_ name: String) -> Bool { unlinkat(file, name, 0) == 0 || errno == ENOENT }

  /// Notes that a file is in use.
  func touch(_ name: String) { utimensat(file, name, nil, AT_SYMLINK_NOFOLLOW) }

  private func failure() -> String {
    "\(path) cannot be written: \(String(cString: strerror(errno)))"
  }

  private func recall(_ call: () -> Int) -> Int {
    while true {
      let result = call()
      guard result < 0, errno == EINTR else { return result }
    }
  }
}

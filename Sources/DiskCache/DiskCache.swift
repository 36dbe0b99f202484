import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A folder of things that can be made again, so that nothing about it is ever an error: what is
/// missing, damaged, or cannot be written costs the time to make it anew.
///
/// The folder belongs to the user alone. A file takes its name at once and whole, carries its key and
/// a digest of its bytes, and is removed where they do not agree. Any number of threads and processes
/// may use one folder.
package final class DiskCache: Sendable {
  package let path: String
  /// Bytes that stay at most.
  private let limit: Int
  private let folder: CacheFolder
  private let state = Mutex(State())

  private struct State {
    /// Bytes that were there and that this process added, once it has counted.
    var bytes: Int?
    var complaint: String?
  }

  /// Bytes of a folder at most, unless it is told otherwise.
  package static let usualLimit = 256 << 20
  /// A draft that is older was left by a process that is gone.
  private static let draftAge = 3600

  /// A cache, or the reason why there is none.
  package static func open(
    _ path: String, limit: Int = usualLimit
  ) -> Result<DiskCache, Unusable> {
    do throws(CacheFolder.Refusal) {
      return .success(DiskCache(try CacheFolder(path), limit: limit))
    } catch { return .failure(Unusable(reason: error.reason)) }
  }

  /// Why a cache is not used.
  package struct Unusable: Error, Sendable {
    /// A sentence that says what to do.
    package var reason: String

    package init(reason: String) { self.reason = reason }
  }

  private init(_ folder: CacheFolder, limit: Int) {
    self.folder = folder
    self.limit = limit
    path = folder.path
  }

  /// Why the last entry could not be written, or nil.
  package var complaint: String? { state.withLock { $0.complaint } }

  /// The content that was stored under a key, and not longer ago than `seconds`. A file that is not
  /// what it should be is removed.
  package func load(_ key: CacheKey, within seconds: Int = .max) -> [UInt8]? {
    guard let bytes = folder.read(key.fileName) else { return nil }
    guard let entry = CacheEntry(bytes), entry.key == key else {
      remove(key)
      return nil
    }
    if seconds == .max {
      folder.touch(key.fileName)
    } else if folder.age(of: key.fileName) ?? .max > seconds {
      remove(key)
      return nil
    }
    return entry.content
  }

  /// Keeps content under a key. Where that fails, ``complaint`` says why.
  package func store(_ content: [UInt8], under key: CacheKey, label: String) {
    let bytes = CacheEntry(key: key, label: label, content: content).encoded
    guard bytes.count <= limit / 4 else { return }
    let complaint = folder.replace(key.fileName, with: bytes)
    state.withLock { state in
      state.complaint = complaint
      guard complaint == nil else { return }
      state.bytes = state.bytes.map { $0 + bytes.count }
      if state.bytes ?? .max > limit { state.bytes = trim() }
    }
  }

  /// Forgets what is stored under a key.
  package func remove(_ key: CacheKey) { folder.remove(key.fileName) }

  /// Removes what was not used for longest until the rest is well within the limit, and drafts that
  /// nobody will finish; the bytes that stay.
  private func trim() -> Int {
    let items = folder.items()
    let now = time(nil)
    for item in items
    where item.name.hasSuffix(CacheFolder.draftEnding) && now - item.used > Self.draftAge {
      folder.remove(item.name)
    }
    let entries = items.filter { $0.name.hasSuffix(CacheKey.ending) }
    var bytes = entries.reduce(0) { $0 + $1.bytes }
    guard bytes > limit else { return bytes }
    for entry in entries.sorted(by: { $0.used < $1.used }) where bytes > limit / 4 * 3 {
      if folder.remove(entry.name) { bytes -= entry.bytes }
    }
    return bytes
  }

  /// What lies in a cache, for people.
  package struct Item: Sendable {
    /// The lines that were stored with it, or nil for a file that is no sound entry.
    package var label: [String]?
    /// Bytes of the file.
    package var bytes: Int
    /// Seconds since it was last used.
    package var age: Int
  }

  /// All files, those first that were used last.
  package func items() -> [Item] {
    let now = time(nil)
    return folder.items().sorted { ($1.used, $0.name) < ($0.used, $1.name) }.map { item in
      let start = folder.read(
        item.name, upTo: CacheEntry.headerBytes + CacheEntry.longestLabel)
      let label = start.flatMap { start -> [String]? in
        guard let header = CacheEntry.Header(start), header.fileBytes == item.bytes,
          header.key.fileName == item.name
        else { return nil }
        let text = start[CacheEntry.headerBytes...].prefix(header.labelBytes)
        return String(decoding: text, as: UTF8.self)
          .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      }
      return Item(label: label, bytes: item.bytes, age: max(0, now - item.used))
    }
  }

  /// Removes every file; how many could not be.
  package func clear() -> Int {
    state.withLock { $0.bytes = nil }
    return folder.items().count { !folder.remove($0.name) }
  }
}

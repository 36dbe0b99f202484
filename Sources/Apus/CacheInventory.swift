import DiskCache

/// What Apus keeps on disk to start faster: programs that OpenCL drivers have built, the verdicts of
/// self-tests, and what devices reach at best. All of it is made again where it is missing.
public enum CacheInventory {
  /// One thing that is kept.
  public struct Entry: Sendable {
    /// The program and what it was built with, or the self-test or roofline; nil for a file that is damaged.
    public var name: String?
    /// The hardware.
    public var device: String
    /// Driver and version.
    public var driver: String
    /// Bytes on disk.
    public var bytes: Int
    /// Since it was last used; for a self-test, since it ran.
    public var age: Duration
  }

  /// What is kept, where.
  public struct Listing: Sendable {
    /// The folder, where there is one.
    public var path: String?
    /// Why the folder is not used, or nil where it is.
    public var reason: String?
    /// Those first that were used last.
    public var entries: [Entry]
  }

  /// Lists what is kept.
  public static func list() -> Listing {
    switch ProgramStore.shared {
    case .success(let cache):
      Listing(path: cache.path, reason: nil, entries: cache.items().map(Entry.init))
    case .failure(let unusable):
      Listing(path: ProgramStore.path, reason: unusable.reason, entries: [])
    }
  }

  /// Removes everything that is kept.
  ///
  /// - Returns: How many entries that were.
  /// - Throws: ``ApusError`` where the folder is not used, or not all could be removed.
  public static func clear() throws(ApusError) -> Int {
    switch ProgramStore.shared {
    case .failure(let unusable): throw ApusError(.file, unusable.reason)
    case .success(let cache):
      let count = cache.items().count
      let left = cache.clear()
      guard left == 0 else {
        throw ApusError(.file, "\(cache.path): \(left) files cannot be removed")
      }
      return count
    }
  }
}

extension CacheInventory.Entry {
  fileprivate init(_ item: DiskCache.Item) {
    let label = item.label ?? []
    name = label.first
    device = label.count > 1 ? label[1] : ""
    driver = label.count > 2 ? label[2] : ""
    bytes = item.bytes
    age = .seconds(item.age)
  }
}

/// The one folder of built programs, verdicts and rooflines.
enum ProgramStore {
  static let path = UserFolders().cache.map { "\($0)/programs" }

  /// Opened when it is first wanted.
  static let shared: Result<DiskCache, DiskCache.Unusable> =
    path.map { DiskCache.open($0) }
    ?? .failure(.init(reason: "there is no cache folder: set HOME, XDG_CACHE_HOME or APUS_CACHE"))
}

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension HostMemory {
  /// Asks the system for large pages, where they pay, in memory that nobody has touched yet.
  package static func preferLargePages(_ memory: UnsafeMutableRawBufferPointer) {
    #if os(Linux)
      guard let base = memory.baseAddress, memory.count >= worthLargePages else { return }
      let front = -Int(bitPattern: base) & (largePage - 1)
      let length = (memory.count - front) & ~(largePage - 1)
      if length > 0 { madvise(base + front, length, MADV_HUGEPAGE) }
    #endif
  }

  /// From this size on, memory comes from the system in pages of its own, which are zero when they are
  /// first touched: by whoever fills them, and not all at once.
  private static let large = 1 << 20
  /// Where the system has pages of this size, a stream of weights passes fewer of them.
  private static let largePage = 1 << 21
  /// Smaller memory takes small pages: a cache of a layer, say, of which a short conversation touches
  /// only the beginning, while each large page would be filled with zeros as a whole.
  private static let worthLargePages = 4 * largePage

  /// Zeroed memory, or nil: `UnsafeMutableRawPointer.allocate` would trap where there is none.
  static func reserve(_ bytes: Int) -> UnsafeMutableRawBufferPointer? {
    if bytes >= large { return reservePages(bytes) }
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, max(bytes, 1)) == 0, let memory else { return nil }
    memset(memory, 0, bytes)
    return UnsafeMutableRawBufferPointer(start: memory, count: bytes)
  }

  private static func reservePages(_ bytes: Int) -> UnsafeMutableRawBufferPointer? {
    guard bytes <= Int.max - 2 * largePage else { return nil }
    let length = mappedLength(bytes)
    let memory = mmap(
      nil, length + largePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    // A large page begins at a multiple of its size: what lies before and behind is given back.
    let front = -Int(bitPattern: memory) & (largePage - 1)
    let start = memory + front
    if front > 0 { munmap(memory, front) }
    if front < largePage { munmap(start + length, largePage - front) }
    #if os(Linux)
      if bytes >= worthLargePages { madvise(start, length, MADV_HUGEPAGE) }
    #endif
    return UnsafeMutableRawBufferPointer(start: start, count: bytes)
  }

  /// Whole pages, of whatever size up to 64 KiB they are.
  private static func mappedLength(_ bytes: Int) -> Int { (bytes + 0xffff) & ~0xffff }

  /// Gives memory of ``reserve(_:)`` back.
  static func free(_ memory: UnsafeMutableRawBufferPointer) {
    if memory.count >= large {
      munmap(memory.baseAddress, mappedLength(memory.count))
      return
    }
    #if canImport(Glibc)
      Glibc.free(memory.baseAddress)
    #elseif canImport(Musl)
      Musl.free(memory.baseAddress)
    #elseif canImport(Darwin)
      Darwin.free(memory.baseAddress)
    #endif
  }
}

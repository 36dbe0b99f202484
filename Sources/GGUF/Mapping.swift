#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file mapped for reading, or a copy of bytes that came from elsewhere; given back with the last
/// reference.
///
/// `@unchecked Sendable`: the memory is read only and lives as long as the object.
final class Mapping: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  /// The mapped file, for whoever wants to read it instead; nil where the bytes are a copy.
  let file: OpenFile?

  init(path: String) throws(GGUFError) {
    let file = try OpenFile(path: path)
    let size = file.size
    guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.number, 0),
      memory != MAP_FAILED
    else { throw GGUFError(path: path, reason: .cannotOpen(String(cString: strerror(errno)))) }
    bytes = UnsafeRawBufferPointer(start: memory, count: size)
    self.file = file
  }

  /// Aligned as a mapped file is, as far as any reader of weights can tell.
  init(copying source: [UInt8]) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    memory.copyBytes(from: source)
    bytes = UnsafeRawBufferPointer(memory)
    file = nil
  }

  /// Where a piece of the mapping begins in it, or nil where it is no piece of it.
  func offset(of piece: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress, let start = piece.baseAddress, start >= base,
      start + piece.count <= base + bytes.count
    else { return nil }
    return start - base
  }

  /// Lets the system take back the memory of a piece, whole pages of it; whoever reads there again
  /// gets the same bytes from the file.
  func drop(_ piece: UnsafeRawBufferPointer) {
    guard file != nil, let offset = offset(of: piece), let base = bytes.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = offset / page * page
    let memory = UnsafeMutableRawPointer(mutating: base + start)
    madvise(memory, offset + piece.count - start, MADV_DONTNEED)
  }

  deinit {
    guard file != nil else { return bytes.deallocate() }
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }
}

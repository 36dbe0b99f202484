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
  private let isMapped: Bool

  init(path: String) throws(GGUFError) {
    func refuse(_ why: String) -> GGUFError {
      GGUFError(path: path, reason: .cannotOpen(why))
    }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw refuse(String(cString: strerror(errno))) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw refuse(String(cString: strerror(errno))) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw refuse("it is not a regular file") }
    let size = Int(status.st_size)
    guard size > 0 else { throw refuse("it is empty") }
    guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), memory != MAP_FAILED
    else { throw refuse(String(cString: strerror(errno))) }
    bytes = UnsafeRawBufferPointer(start: memory, count: size)
    isMapped = true
  }

  /// Aligned as a mapped file is, as far as any reader of weights can tell.
  init(copying source: [UInt8]) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    memory.copyBytes(from: source)
    bytes = UnsafeRawBufferPointer(memory)
    isMapped = false
  }

  deinit {
    guard isMapped else { return bytes.deallocate() }
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }
}

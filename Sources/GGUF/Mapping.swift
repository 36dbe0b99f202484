#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file mapped for reading; unmapped with the last reference.
///
/// `@unchecked Sendable`: the memory is read only and lives as long as the object.
final class Mapping: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

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
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }
}

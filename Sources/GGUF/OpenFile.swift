#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that is open for reading, and what it was like when it was opened; closed with the last
/// reference. It stays the same file when another one takes its name.
final class OpenFile: Sendable {
  let path: String
  /// The system's number for it.
  let number: Int32
  /// In bytes; never 0.
  let size: Int
  private let changed: Moment

  /// When a file was last written.
  private struct Moment: Sendable, Equatable {
    var seconds: Int
    var nanoseconds: Int

    init(_ status: stat) {
      #if canImport(Darwin)
        let time = status.st_mtimespec
      #else
        let time = status.st_mtim
      #endif
      (seconds, nanoseconds) = (Int(time.tv_sec), Int(time.tv_nsec))
    }
  }

  init(path: String) throws(GGUFError) {
    func refuse(_ why: String) -> GGUFError {
      GGUFError(path: path, reason: .cannotOpen(why))
    }
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw refuse(String(cString: strerror(errno))) }
    self.path = path
    self.number = number
    var status = stat()
    // From here on `deinit` closes the file.
    let failure = fstat(number, &status) == 0 ? nil : String(cString: strerror(errno))
    size = Int(status.st_size)
    changed = Moment(status)
    if let failure { throw refuse(failure) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw refuse("it is not a regular file") }
    guard size > 0 else { throw refuse("it is empty") }
  }

  deinit { close(number) }

  /// Fills a buffer with the bytes from `offset` on.
  ///
  /// - Returns: A sentence about what went wrong, or nil.
  func read(into buffer: UnsafeMutableRawBufferPointer, from offset: Int) -> String? {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let count = pread(number, rest.baseAddress, rest.count, off_t(offset + filled))
      if count < 0, errno == EINTR { continue }
      if count < 0 { return "\(path): reading failed: \(String(cString: strerror(errno)))" }
      if count == 0 {
        return "\(path): the file ended at byte \(offset + filled) while it was loaded: it had "
          + "\(size) bytes when it was opened; load it again when it is whole"
      }
      filled += count
    }
    return nil
  }

  /// A sentence about how the file differs from what was opened, or nil.
  func complaint() -> String? {
    var status = stat()
    guard fstat(number, &status) == 0 else {
      return "\(path): the file is gone: \(String(cString: strerror(errno)))"
    }
    guard Int(status.st_size) != size || Moment(status) != changed else { return nil }
    return "\(path): the file was written to after it was opened (it had \(size) bytes, now "
      + "\(status.st_size)); load it again when it is whole"
  }
}

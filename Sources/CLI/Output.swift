import Apus

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Files that the command writes.
enum Output {
  /// Puts a file in the place of the one there, whole or not at all.
  static func replace(_ path: String, with bytes: [UInt8], mode: mode_t) throws(ApusError) {
    let draft = "\(path).\(getpid()).part"
    do throws(ApusError) {
      try write(bytes, to: draft, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
    } catch {
      unlink(draft)
      throw error
    }
    guard rename(draft, path) == 0 else {
      let error = refusal(path)
      unlink(draft)
      throw error
    }
  }

  /// Adds to the end of a file, which is made where it does not exist.
  static func append(_ bytes: [UInt8], to path: String, mode: mode_t) throws(ApusError) {
    try write(bytes, to: path, flags: O_WRONLY | O_CREAT | O_APPEND, mode: mode)
  }

  /// Makes the folders in which a file is to lie, for their owner only.
  static func makeFolders(above path: String) throws(ApusError) {
    for end in path.indices.dropFirst() where path[end] == "/" {
      let folder = String(path[..<end])
      if mkdir(folder, 0o700) != 0, errno != EEXIST { throw refusal(folder) }
    }
  }

  private static func write(
    _ bytes: [UInt8], to path: String, flags: Int32, mode: mode_t
  ) throws(ApusError) {
    let file = open(path, flags | O_CLOEXEC, mode)
    guard file >= 0 else { throw refusal(path) }
    guard Terminal.write(bytes, to: file) else {
      let error = refusal(path)
      close(file)
      throw error
    }
    guard close(file) == 0 else { throw refusal(path) }
  }

  private static func refusal(_ path: String) -> ApusError {
    ApusError(.file, "\(path): cannot be written: \(String(cString: strerror(errno)))")
  }
}

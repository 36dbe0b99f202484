import DiskCache
import Kernels
import Synchronization

#if DEBUG
  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Musl)
    import Musl
  #elseif canImport(Darwin)
    import Darwin
  #endif
#endif

/// The text of programs.
enum KernelSource {
  /// Every file under `Kernels/` by its path without the ending.
  static let texts: [String: String] = {
    var count = 0
    guard let programs = kernel_programs(&count) else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: UnsafeBufferPointer(start: programs, count: count).map {
        (String(cString: $0.name), String(cString: $0.text))
      })
  }()

  /// Every file under `Kernels/tuned` by its name without the ending.
  static let tunings: [String: String] = {
    var count = 0
    guard let files = kernel_tunings(&count) else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: UnsafeBufferPointer(start: files, count: count).map {
        (String(cString: $0.name), String(cString: $0.text))
      })
  }()

  static let prelude = ["common/prelude", "common/arithmetic"]

  /// What the compiler gets: defines, the prelude, the texts that the file shares with others, the
  /// file. The line marks let a build log name the file.
  static func program(
    _ name: String, shared: [String], defines: [(name: String, value: Int)]
  ) -> String {
    defines.map { "#define \($0.name) \($0.value)\n" }.joined()
      + (prelude + shared + [name]).map(marked).joined()
  }

  /// What tells that from any other text, without putting it together.
  static func identity(
    _ name: String, shared: [String], defines: [(name: String, value: Int)]
  ) -> [String] {
    defines.map { "\($0.name) \($0.value)" }
      + (prelude + shared + [name]).flatMap { [$0, digest($0)] }
  }

  private static func marked(_ name: String) -> String {
    "#line 1 \"Kernels/\(name).cl\"\n\(text(name))\n"
  }

  private static func text(_ name: String) -> String {
    guard let text = edited(name) ?? texts[name] else {
      preconditionFailure("the kernel table names \(name), which is not embedded")
    }
    return text
  }

  /// Of a file, found once unless somebody is at work on it.
  private static func digest(_ name: String) -> String {
    if let text = edited(name) { return SHA256.hex(Array(text.utf8)) }
    return digests.withLock { known in
      if let digest = known[name] { return digest }
      let digest = SHA256.hex(Array(text(name).utf8))
      known[name] = digest
      return digest
    }
  }

  private static let digests = Mutex<[String: String]>([:])

  /// The text on disk, for who is at work on a kernel: in debug builds `APUS_KERNELS` may name the
  /// folder `Kernels`.
  private static func edited(_ name: String) -> String? {
    #if DEBUG
      guard let folder = getenv("APUS_KERNELS"),
        let file = fopen("\(String(cString: folder))/\(name).cl", "r")
      else { return nil }
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 16)
      let count = fread(&bytes, 1, bytes.count, file)
      return String(decoding: bytes[..<count], as: UTF8.self)
    #else
      return nil
    #endif
  }
}

import Apus
import ArgumentParser

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Bytes of files and of standard input, and the default model.
enum Input {
  /// The bytes of a file, or of standard input for `-`.
  static func bytes(_ path: String) throws(ApusError) -> [UInt8] {
    if path == "-" { return try read(STDIN_FILENO, "standard input") }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw refusal(path) }
    defer { close(file) }
    return try read(file, path)
  }

  private static func read(_ file: Int32, _ name: String) throws(ApusError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = chunk.withUnsafeMutableBytes { buffer in
        #if canImport(Glibc)
          Glibc.read(file, buffer.baseAddress, buffer.count)
        #elseif canImport(Musl)
          Musl.read(file, buffer.baseAddress, buffer.count)
        #else
          Darwin.read(file, buffer.baseAddress, buffer.count)
        #endif
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw refusal(name) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
  }

  /// A path that somebody typed where no shell reads it: `~` is the home folder.
  static func expanded(_ path: String) -> String {
    guard path == "~" || path.hasPrefix("~/"), let home = getenv("HOME") else { return path }
    return String(cString: home) + path.dropFirst()
  }

  private static func refusal(_ name: String) -> ApusError {
    ApusError(.file, "\(name): cannot be read: \(String(cString: strerror(errno)))")
  }

  /// The text of `-p`, of `-f`, or of a pipe, in this order; nil where there is none.
  static func prompt(text: String?, file: String?) throws(ApusError) -> [UInt8]? {
    if let text { return Array(text.utf8) }
    if let file { return try bytes(file) }
    return Terminal.hasPipedInput ? try bytes("-") : nil
  }

  /// The model that was named, or the default model in the cache.
  static func model(_ path: String?) throws(ApusError) -> String {
    if let path { return path }
    let path = "\(cacheFolder)/models/smollm2-135m-instruct-q4_1.gguf"
    guard access(path, R_OK) == 0 else {
      throw ApusError(
        .file,
        "no model was named and the default model is not at \(path); name a GGUF file, or fetch "
          + "the default model with 'tools/fetch smollm2'")
    }
    return path
  }

  /// `$APUS_CACHE`, else `apus` in the user's cache folder: where `tools/fetch` puts models.
  private static var cacheFolder: String {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    if let folder = variable("APUS_CACHE") { return folder }
    if let folder = variable("XDG_CACHE_HOME") { return "\(folder)/apus" }
    return "\(variable("HOME") ?? ".")/.cache/apus"
  }
}

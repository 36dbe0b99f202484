#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Committed numbers that another engine gave, and the files that they are about.
package enum Fixtures {
  /// Decodes a file of `Tests/Fixtures`.
  package static func decode<T: Decodable>(_ type: T.Type, _ name: String) throws -> T {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: folder.appending(path: "Fixtures/\(name)"))
    return try JSONDecoder().decode(type, from: data)
  }

  /// A file that `tools/fetch` has put into the folder that `APUS_MODELS` names, or nil.
  package static func fetched(_ name: String) -> String? {
    guard let folder = environment("APUS_MODELS") else { return nil }
    let path = "\(folder)/\(name)"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }

  /// A text that the system makes while it is read, such as `/proc/self/maps`: it comes in pieces, and
  /// Foundation takes a short one for the end.
  package static func systemText(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file, &chunk, chunk.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }

  /// The bytes of a file.
  package static func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path)))
  }
  /// Writes a file in place.
  package static func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(filePath: path))
  }
}

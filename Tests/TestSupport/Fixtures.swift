#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
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

  /// The bytes of a file.
  package static func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path)))
  }
  /// Writes a file in place.
  package static func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(filePath: path))
  }
}

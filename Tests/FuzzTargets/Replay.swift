#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Corpora on disk, for programs without a fuzzer.
package enum Replay {
  /// The files of a folder with their bytes, sorted by name.
  package static func corpus(_ folder: String) throws -> [(name: String, bytes: [UInt8])] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
      (name, [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))))
    }
  }

  /// What a fuzz target does where it was built without the fuzzer: `PROGRAM FOLDER…` replays
  /// corpora, `PROGRAM --seeds FOLDER` writes the seeds.
  package static func main(
    _ target: ([UInt8]) -> Void, seeds: [(name: String, bytes: [UInt8])]
  ) throws {
    var folders = CommandLine.arguments.dropFirst()
    if folders.first == "--seeds", let folder = folders.last {
      for (name, bytes) in seeds {
        try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      folders = [folder]
    }
    for folder in folders {
      let inputs = try corpus(folder)
      for (_, bytes) in inputs { target(bytes) }
      print("\(folder): \(inputs.count) inputs, no finding")
    }
  }
}

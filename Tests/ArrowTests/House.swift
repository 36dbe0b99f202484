/// The rules of the house, each a function from text to sentences about what breaks it, so that a
/// planted violation can show that the rule bites.
enum House {
  /// Modules of the language and the C library: no room, so no arrow.
  static let language: Set = [
    "Swift", "Synchronization", "Glibc", "Musl", "Darwin", "FoundationEssentials",
  ]
  static let testing: Set = ["Testing", "Foundation"]

  /// Arrows that must not exist, not even by a detour.
  static let forbidden: [(room: String, unreachable: Set<String>, reason: String)] = [
    ("Tensors", everythingButItself, "it is the ground floor"),
    ("Tokenization", everythingButItself, "it knows text, nothing else"),
    ("Sampling", everythingButItself, "it is values in, values out"),
    ("Residency", everythingButItself, "it is values in, values out"),
    ("Evaluation", everythingButItself, "it is values in, values out"),
    ("DiskCache", everythingButItself, "it keeps bytes, whatever they mean"),
    ("Scheduling", everythingButItself.subtracting(["Residency"]), "it cannot see a tensor"),
    ("GGUF", everythingButItself.subtracting(["Tensors"]), "it knows nothing of models"),
    ("ModelGraph", everythingButItself.subtracting(["Tensors"]), "a graph is pure"),
    (
      "Models", backends.union(["Devices", "Planning", "Runtime", "Tokenization"]),
      "it cannot see a device"
    ),
    (
      "Devices", backends.union(["Models", "GGUF", "Planning", "Runtime"]),
      "it is the contract only"
    ),
    (
      "Planning", backends.union(["Models", "GGUF", "Runtime", "Scheduling"]), "it plans by traits"
    ),
    ("Runtime", backends.union(["Tokenization", "Models", "GGUF"]), "it cannot see text"),
    (
      "Profiling", backends.union(["Models", "GGUF", "Planning", "Runtime", "Tokenization"]),
      "it is launch records in, text out"
    ),
    ("ReferenceBackend", ["CPUBackend", "OpenCLBackend"], "a backend stands alone"),
    ("CPUBackend", ["ReferenceBackend", "OpenCLBackend", "COpenCL"], "a backend stands alone"),
    ("OpenCLBackend", ["ReferenceBackend", "CPUBackend", "COpenBLAS"], "a backend stands alone"),
    ("OpSuite", ["CPUBackend", "OpenCLBackend"], "it judges backends by the contract"),
  ]
  static let backends: Set = ["ReferenceBackend", "CPUBackend", "OpenCLBackend"]
  static let everythingButItself: Set = [
    "Tensors", "GGUF", "Tokenization", "ModelGraph", "Models", "Devices", "ReferenceBackend",
    "CPUBackend", "CPUKernels", "WeightTiles", "COpenBLAS", "OpenCLBackend", "COpenCL", "Kernels",
    "DiskCache", "OpSuite", "Planning", "Profiling", "Residency", "Scheduling", "Sampling",
    "Evaluation", "Runtime", "Apus", "CLI",
  ]

  /// Words that only some rooms may say, in code or in a comment.
  static let words: [(word: String, rooms: Set<String>, reason: String)] = [
    ("cl_mem", ["OpenCLBackend", "COpenCL"], "a device's buffers are integer ids elsewhere"),
    ("cblas_", ["CPUBackend", "COpenBLAS"], "BLAS is a choice of one backend"),
    ("try!", [], "what can fail is an error with a sentence"),
    ("exit(", ["CLI"], "only the command ends the process"),
  ]

  static let drawers: Set = [
    "common", "core", "util", "utils", "helper", "helpers", "misc", "shared",
  ]

  static func violations(of manifest: Manifest) -> [String] {
    let arrows = forbidden.flatMap { room, unreachable, reason in
      manifest.reachable(from: room).intersection(unreachable).subtracting([room]).sorted().map {
        "\(room) reaches \($0): \(reason)"
      }
    }
    let names = manifest.dependencies.keys.sorted().filter { drawers.contains($0.lowercased()) }
    return arrows + names.map { "\($0) is a drawer, not a room" }
  }

  /// A test target may say any word; `isTest` says that the file belongs to one.
  static func violations(
    in source: String, room: String, isTest: Bool, manifest: Manifest
  ) -> [String] {
    var allowed = (manifest.dependencies[room] ?? []).union(language).union([room])
    if isTest { allowed.formUnion(testing) }
    let imports = Set(imports(of: source)).subtracting(allowed).sorted()
      .map { "imports \($0), which Package.swift does not declare for \(room)" }
    guard !isTest else { return imports }
    return imports
      + words.filter { !$0.rooms.contains(room) && says($0.word, in: source) }
      .map { "says \($0.word): \($0.reason)" }
  }

  /// The modules that a source imports. Where FoundationEssentials does not exist apart from
  /// Foundation, a file may name the one in place of the other.
  static func imports(of source: String) -> [String] {
    let choice =
      /#if canImport\(FoundationEssentials\)\s+import FoundationEssentials\s+#else\s+import Foundation\s+#endif/
    let pattern =
      /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|let|var|typealias)\s+)?(\w+)/
    return source.replacing(choice, with: "").split(separator: "\n").compactMap { line in
      line.prefixMatch(of: pattern).map { String($0.1) }
    }
  }

  /// Whether the word occurs other than as the tail of a longer identifier.
  static func says(_ word: String, in source: String) -> Bool {
    source.ranges(of: word).contains { range in
      guard range.lowerBound > source.startIndex else { return true }
      let before = source[source.index(before: range.lowerBound)]
      return !(before.isLetter || before.isNumber || before == "_" || before == ".")
    }
  }

  static func violations(ofLineCounts swift: [(file: String, lines: Int)], cap: Int) -> [String] {
    swift.filter { $0.lines > cap }.map { "\($0.file) has \($0.lines) lines, cap \(cap)" }
  }
}

import FoundationEssentials
import Testing

/// The tree this file was compiled from.
struct Tree {
  let root: String
  let manifest: Manifest

  init() throws {
    root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    manifest = Manifest(parsing: try Self.read(root + "/Package.swift"))
  }

  static func read(_ path: String) throws -> String {
    try String(contentsOf: URL(filePath: path), encoding: .utf8)
  }

  /// Paths below `folder` with one of the suffixes, from the root.
  func files(_ folder: String, _ suffixes: String...) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: root + "/" + folder).sorted()
      .filter { path in suffixes.contains { path.hasSuffix($0) } }.map { folder + "/" + $0 }
  }

  func lines(_ file: String) throws -> (file: String, lines: Int) {
    (file, try Self.read(root + "/" + file).utf8.count { $0 == UInt8(ascii: "\n") })
  }
}

@Suite struct ArrowTests {
  let tree: Tree

  init() throws { tree = try Tree() }

  @Test func theManifestIsUnderstood() throws {
    let targets = tree.manifest.dependencies
    #expect(targets["GGUF"] == ["Tensors"])
    #expect(targets["CLI"] == ["Apus", "ArgumentParser"])
    #expect(targets["Kernels"] == [])
    let folders = try FileManager.default.contentsOfDirectory(atPath: tree.root + "/Sources")
    for folder in folders {
      #expect(targets[folder] != nil, "Sources/\(folder) is no target of Package.swift")
    }
  }

  @Test func arrowsPointDown() {
    #expect(House.violations(of: tree.manifest) == [])
  }

  @Test(arguments: ["Sources", "Tests"])
  func filesSayOnlyWhatTheirRoomKnows(folder: String) throws {
    let files = try tree.files(folder, ".swift", ".c", ".h")
    #expect(files.count > 10)
    for file in files {
      let room = file.split(separator: "/").dropFirst().first.map(String.init) ?? ""
      let found = House.violations(
        in: try Tree.read(tree.root + "/" + file), room: room, isTest: folder == "Tests",
        manifest: tree.manifest)
      #expect(found == [], "\(file)")
    }
  }

  @Test func filesKeepToTheirBudget() throws {
    let swift = try (tree.files("Sources", ".swift") + tree.files("Tests", ".swift"))
      .map(tree.lines)
    #expect(House.violations(ofLineCounts: swift, cap: 600) == [])
    let kernels = try tree.files("Kernels", ".cl").map(tree.lines)
    #expect(House.violations(ofLineCounts: kernels, cap: 350) == [])
    let sources = try tree.files("Sources", ".swift").map { try tree.lines($0).lines }.sorted()
    #expect(sources[sources.count / 2] <= 150, "the median of Sources")
  }

  @Test func kernelsStandAlone() throws {
    for file in try tree.files("Kernels", ".cl") {
      let text = try Tree.read(tree.root + "/" + file)
      #expect(!text.contains("#include"), "\(file): there is no path at run time")
    }
  }
}

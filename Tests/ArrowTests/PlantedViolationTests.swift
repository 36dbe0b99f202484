import Testing

/// Each rule finds what it is there for. A rule that passes everything would be worth nothing.
@Suite struct PlantedViolationTests {
  let manifest = Manifest(
    parsing: """
      let package = Package(
        targets: [
          interop("Kernels", path: "Kernels", sources: ["programs.c"]),
          room("Tensors"),  // the ground
          room("Devices", "Tensors"),
          // room("Hidden", "Tensors"),
          room(
            "Models",
            "Tensors", products: [.product(name: "Parser", package: "swift-parser")]),
          room("Scheduling", "Residency"),
          room("Residency", "Tensors"),
          room("Utils"),
          .executableTarget(
            name: "CLI", dependencies: ["Models"], path: "Sources/CLI"),
        ])
      """)

  func found(_ source: String, room: String, isTest: Bool = false) -> [String] {
    House.violations(in: source, room: room, isTest: isTest, manifest: manifest)
  }

  @Test func manifestNamesTargetsAndDependencies() {
    #expect(
      manifest.dependencies == [
        "Kernels": [], "Tensors": [], "Devices": ["Tensors"], "Models": ["Tensors", "Parser"],
        "Scheduling": ["Residency"], "Residency": ["Tensors"], "Utils": [], "CLI": ["Models"],
      ])
    #expect(manifest.reachable(from: "CLI") == ["Models", "Tensors", "Parser"])
  }

  @Test func forbiddenArrowIsFoundThroughADetour() {
    let found = House.violations(of: manifest)
    #expect(found.contains { $0.hasPrefix("Scheduling reaches Tensors") })
    #expect(found.contains { $0.hasPrefix("Residency reaches Tensors") })
    #expect(found.contains("Utils is a drawer, not a room"))
    #expect(found.count == 3)
  }

  @Test(arguments: [
    "import Devices", "public import Devices", "@testable import Devices", "  import Devices",
    "@_spi(Inner) package import Devices", "import struct Devices.Queue", "import Foundation",
  ])
  func undeclaredImportIsFound(line: String) {
    #expect(found("// A comment.\n\(line)\n", room: "Models").count == 1)
  }

  @Test func declaredImportsAreNot() {
    let source =
      "import Parser\nimport Tensors\nimport Synchronization\nimport FoundationEssentials\n"
    #expect(found(source, room: "Models") == [])
    #expect(found("// import Devices\nlet text = \"import\"\n", room: "Models") == [])
    #expect(found("import Testing\nimport Foundation\n", room: "Models", isTest: true) == [])
  }

  @Test func foundationIsAllowedOnlyInPlaceOfItsEssentials() {
    let choice = """
      #if canImport(FoundationEssentials)
        import FoundationEssentials
      #else
        import Foundation
      #endif

      """
    #expect(found(choice, room: "Models") == [])
    #expect(found(choice + "import Foundation\n", room: "Models").count == 1)
  }

  @Test(arguments: [
    "var b: cl_mem?", "cblas_sgemm(1)", "let x = try! f()", "exit(1)", "{ exit(1) }",
  ])
  func wordOfAnotherRoomIsFound(line: String) {
    #expect(found(line + "\n", room: "Models").count == 1)
  }

  @Test func wordIsFreeAtHomeAndInsideOthers() {
    #expect(found("var b: cl_mem?", room: "OpenCLBackend") == [])
    #expect(found("exit(1)", room: "CLI") == [])
    #expect(found("onexit(1); loop.exit(); try? f()", room: "Models") == [])
  }

  @Test func longFileIsFound() {
    let found = House.violations(ofLineCounts: [("a.swift", 600), ("b.swift", 601)], cap: 600)
    #expect(found == ["b.swift has 601 lines, cap 600"])
  }
}

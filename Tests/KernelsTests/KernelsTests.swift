import COpenCL
import Kernels
import OpenCLBackend
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The programs in the binary, and the table that names them. Needs no device.
@Suite struct KernelsTests {
  /// Embedded texts by name.
  static let programs: [String: String] = {
    var count = 0
    guard let programs = kernel_programs(&count) else { return [:] }
    return Dictionary(
      UnsafeBufferPointer(start: programs, count: count).map {
        (String(cString: $0.name), String(cString: $0.text))
      }, uniquingKeysWith: { first, _ in first })
  }()

  @Test func everyFileIsEmbedded() throws {
    let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let files = try Self.files(under: "/\(folder)/Kernels")
    #expect(files.count > 5)
    #expect(Set(files) == Set(Self.programs.keys))
  }

  @Test func lengthsAreThoseOfTheTexts() throws {
    var count = 0
    let programs = try #require(kernel_programs(&count))
    for program in UnsafeBufferPointer(start: programs, count: count) {
      #expect(program.length == strlen(program.text))
      #expect(program.length > 100, "\(String(cString: program.name))")
    }
  }

  @Test func everyFileSaysWhatItIsAndFits() {
    for (name, text) in Self.programs {
      #expect(text.hasPrefix("// "), "\(name)")
      #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count <= 350)
      for word in ["cl_khr_", "double", "barrier(", "local ", "native_", "#include"] {
        #expect(name == "common/prelude" || !code(of: text).contains(word), "\(name): \(word)")
      }
    }
  }

  @Test(arguments: KernelTable.rows.indices)
  func rowNamesAKernelAndItsParameters(_ index: Int) throws {
    let row = KernelTable.rows[index]
    let text = try #require(Self.programs[row.program], "\(row.program) is not embedded")
    let parts = text.split(separator: "kernel void \(row.entry)(")
    let head = try #require(
      parts.count == 2 ? parts[1] : nil, "\(row.program) has no kernel \(row.entry)")
    let parameters = head.prefix { $0 != ")" }.split(separator: ",").count
    #expect(row.arguments.reduce(0) { $0 + $1.parameterCount } == parameters, "\(row.program)")
    let before = try (["common/prelude", "common/arithmetic"] + row.shared).map {
      try #require(Self.programs[$0])
    }
    for define in row.defines {
      #expect(
        (before.joined() + text).contains("#ifndef \(define.name)\n"),
        "\(row.program): \(define.name)")
    }
  }

  /// What may be tuned is a parameter of the program, and `standard` is what a row has without.
  @Test func tunablesAreParameters() throws {
    var seen: Set<String> = []
    for row in KernelTable.rows {
      for tunable in row.tunables {
        seen.insert(tunable.name)
        #expect(tunable.values.contains(tunable.standard), "\(row.program) \(tunable.name)")
        // The work-group's width is a matter of the launch.
        if tunable.name == "GROUP_WIDTH" { continue }
        let texts = try (row.shared + [row.program]).map { try #require(Self.programs[$0]) }
        let text = texts.joined()
        #expect(text.contains("#ifndef \(tunable.name)\n"), "\(row.program) \(tunable.name)")
        let isSet = row.defines.contains { $0.name == tunable.name }
        #expect(
          isSet || text.contains("#define \(tunable.name) \(tunable.standard)\n"),
          "\(row.program) \(tunable.name)")
      }
    }
    #expect(
      seen == ["PREFETCH", "TILES", "TOKENS", "TILE_OUTPUTS", "TILE_TOKENS", "GROUP_WIDTH", "MEET"])
  }

  @Test func everyTuningIsEmbedded() throws {
    let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let directory = try #require(opendir("/\(folder)/Kernels/tuned"))
    defer { closedir(directory) }
    var names: Set<String> = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".txt") { names.insert(String(name.dropLast(4))) }
    }
    #expect(!names.isEmpty && names == Set(OpenCLDevices.shippedTunings.map(\.name)))
  }

  @Test func everyProgramIsUsed() {
    let used = Set(KernelTable.rows.flatMap { [$0.program] + $0.shared })
    let others: Set = ["common/prelude", "common/arithmetic", "probe/roofline", "step/step"]
    #expect(used.union(others) == Set(Self.programs.keys))
  }

  /// A text without its comments.
  private func code(of text: String) -> String {
    text.split(separator: "\n").map { line in line.split(separator: "//", maxSplits: 1)[...] }
      .compactMap { $0.first.map(String.init) }.joined(separator: "\n")
  }

  /// Names of the `.cl` files under a folder, without the ending.
  private static func files(under folder: String, prefix: String = "") throws -> [String] {
    let directory = try #require(opendir(folder), "no folder \(folder)")
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".cl") {
        names.append(prefix + name.dropLast(3))
      } else if !name.contains(".") {
        names += try files(under: "\(folder)/\(name)", prefix: "\(prefix)\(name)/")
      }
    }
    return names
  }
}

@Suite struct StatusNameTests {
  @Test func statusesHaveNames() {
    #expect(String(cString: apus_cl_status_name(CL_SUCCESS)) == "CL_SUCCESS")
    #expect(String(cString: apus_cl_status_name(-5)) == "CL_OUT_OF_RESOURCES")
    #expect(String(cString: apus_cl_status_name(-11)) == "CL_BUILD_PROGRAM_FAILURE")
    #expect(String(cString: apus_cl_status_name(-1001)) == "CL_PLATFORM_NOT_FOUND_KHR")
    #expect(String(cString: apus_cl_status_name(-12_345)) == "unknown OpenCL status")
  }

  @Test func everyErrorOfTheStandardIsNamed() {
    // The standard has no status -20 … -29.
    for status in (-68 ... -30).reversed() + (-19...0).reversed() {
      #expect(String(cString: apus_cl_status_name(cl_int(status))).hasPrefix("CL_"), "\(status)")
    }
  }

  @Test func listingNeverFails() {
    let listing = OpenCLDevices.list()
    #expect(listing.devices.isEmpty == (listing.reason != nil))
    #expect(listing.devices.map(\.index) == Array(listing.devices.indices))
  }
}

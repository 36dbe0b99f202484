import COpenCL
import Devices
import DiskCache
import ModelGraph
import OpenCLBackend
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

/// Built programs on disk, on real drivers: whatever lies there, sums are right and nothing is left.
@Suite(.serialized) struct ProgramCacheTests {
  private let folder = TemporaryFolder()
  private var programs: String { "\(folder.path)/programs" }

  private func open() throws -> DiskCache { try DiskCache.open(programs).get() }

  /// What one process does: two kernels on a device. Returns how many programs were compiled from
  /// source, or nil where the result is wrong.
  private func compiled(
    _ index: Int, threads: Int? = nil, _ disk: DiskCache?
  ) throws -> Int? {
    let before = apus_cl_compiled()
    var sum: [Float] = []
    do {
      let device = try OpenCLDevice(index: index, threads: threads, programs: disk)
      sum = try Self.sum(on: device)
    }
    #expect(apus_cl_live_total() == 0)
    return sum == [11, 22, 33] ? apus_cl_compiled() - before : nil
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence), arguments: listing.devices)
  func secondStartsCompileNothing(_ device: OpenCLDevices.Description) throws {
    #expect(try compiled(device.index, nil) == 2)
    #expect(try compiled(device.index, try open()) == 2)
    let items = try open().items()
    #expect(items.count == 2)
    for item in items {
      let label = try #require(item.label)
      #expect(["pointwise/add", "pointwise/gated"].contains(label[0]))
      #expect(label[1...] == ["\(device.name)", "\(device.platform) \(device.driver)"])
    }
    #expect(try compiled(device.index, try open()) == 0)
    // A part of the device runs what the whole device has built.
    if device.isDivisible, device.computeUnits > 1 {
      #expect(try compiled(device.index, threads: 1, try open()) == 0)
      #expect(try open().items().count == 2)
    }
    // Without a cache nothing is taken from it.
    #expect(try compiled(device.index, nil) == 2)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence), arguments: listing.devices)
  func whatADriverRefusesIsBuiltAnew(_ device: OpenCLDevices.Description) throws {
    #expect(try compiled(device.index, try open()) == 2)
    // The driver takes the binary, but cannot build it.
    apus_cl_inject(APUS_CL_BUILD, 1, -11)
    defer { apus_cl_inject_nothing() }
    #expect(try compiled(device.index, try open()) == 1)
    #expect(try compiled(device.index, try open()) == 0)
    // Sound entries with no program in them. Mesa's driver ends the process where it gets one.
    if device.platform == "rusticl" { return }
    for name in folder.files("programs") {
      try replaceContent(of: name, with: Array("not a program".utf8))
    }
    #expect(try compiled(device.index, try open()) == 2)
    #expect(try compiled(device.index, try open()) == 0)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func damagedEntriesAreBuiltAnew() throws {
    #expect(try compiled(0, try open()) == 2)
    let names = folder.files("programs")
    try #require(names.count == 2)
    let paths = names.map { "\(programs)/\($0)" }
    let sound = try paths.map { try Fixtures.bytes($0) }
    func damage(_ change: (inout [UInt8]) -> Void) throws {
      for (path, bytes) in zip(paths, sound) {
        var bytes = bytes
        change(&bytes)
        try Fixtures.write(bytes, to: path)
      }
      #expect(try compiled(0, try open()) == 2)
      #expect(folder.files("programs") == names)
      #expect(try compiled(0, try open()) == 0)
    }
    try damage { $0.removeLast(10) }
    try damage { $0 = [] }
    try damage { $0[0] ^= 1 }
    try damage { $0[$0.count / 2] ^= 1 }
    // Each in the other's place.
    try Fixtures.write(sound[0], to: paths[1])
    try Fixtures.write(sound[1], to: paths[0])
    #expect(try compiled(0, try open()) == 2)
  }

  /// Another device's programs are not found, and another driver's are not found either, as its
  /// version is part of the key.
  @Test(.enabled(if: listing.devices.count > 1, "there are not two OpenCL devices"))
  func devicesShareNothing() throws {
    let disk = try open()
    for device in listing.devices { #expect(try compiled(device.index, disk) == 2) }
    #expect(disk.items().count == 2 * listing.devices.count)
    for device in listing.devices { #expect(try compiled(device.index, disk) == 0) }
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func aFolderThatVanishesIsNoError() throws {
    let disk = try open()
    rmdir(programs)
    #expect(try compiled(0, disk) == 2)
    #expect(try compiled(0, disk) == 2)
    #expect(folder.files().isEmpty && disk.complaint != nil)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func whatOnlyASelfTestUsesIsNotKept() throws {
    let disk = try open()
    do {
      let device = try OpenCLDevice(index: 0, programs: disk)
      _ = try Self.sum(on: device)
      device.endSelfTest()
    }
    #expect(disk.items().isEmpty)
    do {
      let device = try OpenCLDevice(index: 0, programs: disk)
      _ = try Self.sum(on: device)
      device.endSelfTest()
      _ = try Self.sum(on: device)
    }
    #expect(disk.items().count == 2 && apus_cl_live_total() == 0)
  }

  /// Gives an entry another content, with a digest to match: the layout is that of `CacheEntry`.
  private func replaceContent(of name: String, with content: [UInt8]) throws {
    let path = "\(programs)/\(name)"
    var bytes = try Fixtures.bytes(path)
    let label = Int(bytes[12]) + Int(bytes[13]) << 8
    bytes.replaceSubrange(16..<24, with: [UInt8(content.count)] + [UInt8](repeating: 0, count: 7))
    bytes.replaceSubrange((88 + label)..., with: content)
    bytes.replaceSubrange(56..<88, with: SHA256.digest(Array(bytes[..<56] + bytes[88...])))
    try Fixtures.write(bytes, to: path)
  }

  /// a + b after another kernel whose result is not used.
  private static func sum(on device: OpenCLDevice) throws -> [Float] {
    func operand(_ index: Int) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: index)), rows: .symbol(.rows), width: 3,
        format: .f32)
    }
    defer { for index in 0..<3 { device.release(BufferID(index: index)) } }
    for (index, values) in ([[1, 2, 3], [10, 20, 30], nil] as [[Float]?]).enumerated() {
      try device.allocate(BufferID(index: index), bytes: 12, label: "operand \(index)")
      guard let values else { continue }
      try values.withUnsafeBytes { try device.write($0, to: operand(index).region) }
    }
    try device.run(
      [Op.gated(.silu), .add].map {
        Instruction(
          .pure($0), inputs: [operand(0), operand(1)], output: operand(2), label: $0.name)
      }, sizes: SymbolSizes(rows: 1, outputs: 0))
    var result = [Float](repeating: 0, count: 3)
    try result.withUnsafeMutableBytes { try device.read(operand(2).region, into: $0) }
    return result
  }
}

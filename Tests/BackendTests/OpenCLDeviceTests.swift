import COpenCL
import Devices
import ModelGraph
import OpSuite
import OpenCLBackend
import Testing

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

extension OperationKey {
  /// Attention, and what chooses the pages that it reads.
  fileprivate var isOfAttention: Bool { name == "attend" || name.hasSuffix("_pages") }
}

/// Tests on real drivers. Live objects and injected faults belong to the process, so these tests
/// run one after the other.
@Suite(.serialized) struct OpenCLDeviceTests {
  /// Every device over all operations. An interpreter gets the tiny cases, and so does who builds each kernel for long.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices)
  func passesEveryCase(_ description: OpenCLDevices.Description) throws {
    do {
      let device = try OpenCLDevice(index: description.index)
      let isSlow = ["Oclgrind", "rusticl"].contains(description.platform)
      let rows = OpSuite.check(device, tinyOnly: isSlow)
      for row in rows {
        #expect(row.failure == nil, "\(row.key) on \(description.name)")
        #expect(row.declined == nil || row.isFused, "\(row.key) on \(description.name)")
      }
      #expect(device.ledger.current == 0)
    }
    #expect(apus_cl_live_total() == 0)
  }

  /// Attention that needs nothing of the device, where others are preferred.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { !$0.features.isEmpty && $0.platform != "rusticl" })
  func plainRowsOfAttentionPass(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index, features: [])
    let keys = Set(OpSuite.cases.map(\.key).filter(\.isOfAttention))
    for row in OpSuite.check(device, keys: keys) {
      #expect(row.failure == nil && row.worstError == 0, "\(row.key) on \(description.name)")
    }
  }

  /// Tiles of attention without inline assembly.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { $0.features.contains(.tiles) })
  func plainTilesPassEveryCase(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index, features: [.tiles])
    let keys = Set(OpSuite.cases.map(\.key).filter(\.isOfAttention))
    for row in OpSuite.check(device, keys: keys) {
      #expect(row.failure == nil && row.fallBacks.isEmpty, "\(row.key) on \(description.name)")
      #expect(row.worstError == 0)
    }
  }

  /// Each feature alone, and none, whether or not the device prefers it.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { $0.platform != "Oclgrind" })
  func everyVariantPasses(_ description: OpenCLDevices.Description) throws {
    let keys = Set(OpSuite.cases.map(\.key).filter { $0.type.hasSuffix("× int8") })
    for feature in description.testedFeatures.map(Optional.some) + [nil] {
      // Devices that take the plain rows are checked with them above, and rusticl, which builds anew for
      // each launch, takes minutes.
      if feature == nil, description.features.isDisjoint(with: [.vnni, .avx2]) { continue }
      let device = try OpenCLDevice(
        index: description.index, features: feature.map { [$0] } ?? [])
      for row in OpSuite.check(device, keys: keys, tinyOnly: feature != nil) {
        #expect(row.failure == nil, "\(row.key) on \(description.name)")
        #expect(row.fallBacks.isEmpty, "\(row.key) on \(description.name)")
        #expect(row.worstError == 0, "\(row.key) on \(description.name)")
      }
    }
  }

  /// A kernel that does not build gives way to the plain one, and reports say why.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { !$0.features.isDisjoint(with: [.vnni, .avx2]) })
  func fallsBackToPlainRows(_ description: OpenCLDevices.Description) throws {
    defer { apus_cl_inject_nothing() }
    let device = try OpenCLDevice(index: description.index)
    let test = try #require(OpSuite.cases.first { $0.key.description == "linear Q4_1 × int8" })
    func variant() -> String {
      switch device.support(test.operation, input: .int8Blocks) {
      case .native(let variant): variant
      case .declined(let reason): reason
      }
    }
    let preferred = variant()
    apus_cl_inject(APUS_CL_BUILD, 1, -11)
    let row = try #require(OpSuite.check(device, keys: [test.key], tinyOnly: true).first)
    #expect(row.failure == nil)
    #expect(row.fallBacks.count == 1)
    #expect(variant() != preferred)
    #expect(variant().contains("without "))
    #expect(variant().contains("CL_BUILD_PROGRAM_FAILURE"))
    #expect(!device.fallBack(test.operation, input: .int8Blocks, reason: "nothing is left"))
  }

  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: [
      (APUS_CL_ALLOCATION, -4, "CL_MEM_OBJECT_ALLOCATION_FAILURE", ["clCreateBuffer"]),
      (APUS_CL_BUILD, -11, "CL_BUILD_PROGRAM_FAILURE", ["clBuildProgram"]),
      (
        APUS_CL_ENQUEUE, -5, "CL_OUT_OF_RESOURCES",
        ["clEnqueueNDRangeKernel", "clEnqueueReadBuffer", "clEnqueueWriteBuffer"]
      ),
    ] as [(apus_cl_fault, cl_int, String, [String])])
  func everyFaultIsAnErrorAndLeavesNothing(
    kind: apus_cl_fault, status: cl_int, name: String, calls: [String]
  ) throws {
    defer { apus_cl_inject_nothing() }
    var failures = 0
    while failures < 100 {
      apus_cl_inject(kind, failures + 1, status)
      do throws(DeviceError) {
        #expect(try sum() == [11, 22, 33])
        break
      } catch {
        #expect(error.status == name)
        #expect(calls.contains(error.call))
        #expect(apus_cl_live_total() == 0)
      }
      failures += 1
    }
    // Three buffers, two kernels, two writes, two launches and a read.
    #expect(failures == [3, 2, 5][Int(kind.rawValue)])
    #expect(apus_cl_live_total() == 0)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func refusalsAreErrors() throws {
    #expect(throws: DeviceError.self) { try OpenCLDevice(index: listing.devices.count) }
    let device = try OpenCLDevice(index: 0)
    let error = try #require(throws: DeviceError.self) {
      try device.allocate(
        BufferID(index: 0), bytes: device.traits.largestAllocation + 1, label: "a pool")
    }
    #expect(error.detail.contains("a pool needs \(device.traits.largestAllocation + 1) bytes"))
    // Nothing to hold is not an error.
    try device.allocate(BufferID(index: 0), bytes: 0, label: "nothing")
    device.release(BufferID(index: 0))
    device.release(BufferID(index: 7))
    #expect(device.ledger.current == 0)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence), arguments: listing.devices)
  func fewerThreadsAreTakenOrRefused(_ description: OpenCLDevices.Description) throws {
    if description.isCPU, description.computeUnits > 1, !description.isDivisible {
      #expect(throws: DeviceError.self) { try OpenCLDevice(index: description.index, threads: 1) }
      return
    }
    let device = try OpenCLDevice(index: description.index, threads: 1)
    for row in OpSuite.check(device, keys: [OperationKey(.pure(.add), input: .f32)]) {
      #expect(row.failure == nil)
    }
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func verdictsDecline() throws {
    let verdict = [OperationKey(.pure(.add), input: .f32): "wrong on this driver"]
    let device = try OpenCLDevice(index: 0, declined: verdict)
    #expect(
      device.support(.pure(.add), input: .f32) == .declined(reason: "wrong on this driver"))
    guard case .native = device.support(.pure(.gated(.silu)), input: .f32) else {
      Issue.record("other operations stay")
      return
    }
  }

  /// a + b on the first device, then once more through another kernel whose result is not used.
  private func sum() throws(DeviceError) -> [Float] {
    let device = try OpenCLDevice(index: 0)
    func operand(_ index: Int) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: index)), rows: .symbol(.rows), width: 3,
        format: .f32)
    }
    for (index, values) in ([[1, 2, 3], [10, 20, 30], nil] as [[Float]?]).enumerated() {
      try device.allocate(BufferID(index: index), bytes: 12, label: "operand \(index)")
      guard let values else { continue }
      let status = values.withUnsafeBytes { bytes in
        Result { () throws(DeviceError) in try device.write(bytes, to: operand(index).region) }
      }
      try status.get()
    }
    try device.run(
      [Op.gated(.silu), .add].map {
        Instruction(
          .pure($0), inputs: [operand(0), operand(1)], output: operand(2), label: $0.name)
      }, sizes: SymbolSizes(rows: 1, outputs: 0))
    var result = [Float](repeating: 0, count: 3)
    let status = result.withUnsafeMutableBytes { bytes in
      Result { () throws(DeviceError) in try device.read(operand(2).region, into: bytes) }
    }
    try status.get()
    return result
  }
}

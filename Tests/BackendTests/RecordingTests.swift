import COpenCL
import CPUBackend
import Devices
import ModelGraph
import OpenCLBackend
import ReferenceBackend
import Testing

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

/// Records of launches on every device: right in number and order, on the host's clock, and nothing is
/// left behind. Live objects and injected faults belong to the process.
@Suite(.serialized) struct RecordingTests {
  private static func open(_ name: String) throws(DeviceError) -> any Device {
    switch name {
    case "reference": ReferenceDevice()
    case "cpu": CPUDevice()
    default: try OpenCLDevice(index: Int(name.dropFirst(7)) ?? 0)
    }
  }
  private static let names =
    ["reference", "cpu"] + listing.devices.map { "opencl:\($0.index)" }

  private static let width = 1 << 14

  private func operand(_ index: Int) -> Operand {
    Operand(
      region: Region(buffer: BufferID(index: index)), rows: .symbol(.rows), width: Self.width,
      format: .f32)
  }

  private func prepare(_ device: any Device) throws(DeviceError) {
    for index in 0..<3 {
      try device.allocate(BufferID(index: index), bytes: Self.width * 4, label: "operand")
    }
  }

  /// c = a + b, so many times.
  private func add(_ device: any Device, times: Int) throws(DeviceError) {
    let instructions = (0..<times).map {
      Instruction(
        .pure(.add), inputs: [operand(0), operand(1)], output: operand(2), label: "sum \($0)",
        layer: $0)
    }
    try device.run(instructions, sizes: SymbolSizes(rows: 1, outputs: 0))
  }

  @Test(arguments: names)
  func everyLaunchIsNotedOnTheHostsClock(_ name: String) throws {
    do {
      let device = try Self.open(name)
      try prepare(device)
      try add(device, times: 2)
      #expect(try device.takeRecords().isEmpty)

      let before = HostClock.now()
      try device.startRecording()
      try add(device, times: 3)
      let first = Array(try device.takeRecords())
      try add(device, times: 2)
      let records = first + Array(try device.takeRecords())
      let after = HostClock.now()
      #expect(records.map(\.label) == ["sum 0", "sum 1", "sum 2", "sum 0", "sum 1"])
      #expect(records.map(\.layer) == [0, 1, 2, 0, 1])
      var reached = before
      for record in records {
        let times = record.times
        // Clocks are aligned to within a marker's time.
        let slack: Int64 = 200_000
        #expect(times.enqueued >= before && times.enqueued <= after)
        #expect(times.enqueued <= times.queued + slack)
        #expect(times.queued <= times.submitted && times.submitted <= times.started)
        #expect(times.started < times.ended)
        #expect(times.started >= reached - slack && times.ended <= after + slack)
        reached = times.ended
        #expect(record.key == OperationKey(.pure(.add), input: .f32))
        #expect(!record.variant.isEmpty && record.shape == "1 × 16384 → 16384")
        #expect(record.work.bytes == 3 * 4 * Self.width && record.work.flops == Self.width)
      }
      try device.stopRecording()
      try add(device, times: 1)
      #expect(try device.takeRecords().isEmpty)
    }
    #expect(apus_cl_live_total() == 0)
  }

  /// More launches than events are held: they are turned into records in between.
  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func manyLaunchesHoldFewEvents() throws {
    do {
      let device = try OpenCLDevice(index: 0)
      try prepare(device)
      try device.startRecording()
      for _ in 0..<30 {
        try add(device, times: 100)
        #expect(apus_cl_live(APUS_CL_EVENT) <= 1024)
      }
      #expect(apus_cl_live(APUS_CL_EVENT) > 0)
      #expect(try device.takeRecords().count == 3000)
      #expect(apus_cl_live(APUS_CL_EVENT) == 0)
      // What nobody takes goes with the device.
      try add(device, times: 5)
    }
    #expect(apus_cl_live_total() == 0)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func noEventIsLeftAfterAFault() throws {
    defer { apus_cl_inject_nothing() }
    var failures = 0
    while failures < 5000 {
      apus_cl_inject(APUS_CL_ENQUEUE, failures + 1, -5)
      do throws(DeviceError) {
        let device = try OpenCLDevice(index: 0)
        try prepare(device)
        try device.startRecording()
        try add(device, times: 3)
        #expect(try device.takeRecords().count == 3)
        break
      } catch {
        #expect(error.status == "CL_OUT_OF_RESOURCES")
      }
      #expect(apus_cl_live_total() == 0)
      failures += 1
    }
    // Markers to align the clocks, and the launches.
    #expect(failures > 3 && failures < 5000)
    #expect(apus_cl_live_total() == 0)
  }

  @Test(arguments: names)
  func whatADeviceReachesAtBestIsMoreThanNothing(_ name: String) throws {
    let device = try Self.open(name)
    guard let roofline = try device.measureRoofline() else {
      #expect(name == "reference")
      return
    }
    #expect(roofline.bandwidth > 1e8 && roofline.bandwidth < 1e14)
    #expect(roofline.floatRate > 1e8 && roofline.floatRate < 1e16)
    #expect(roofline.integerRate > 1e8 && roofline.integerRate < 1e17)
    #expect(device.ledger.current == 0)
  }

  /// The source that is handed out is what was built: it says so in its defines, and builds.
  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func programsAreHandedOut() throws {
    let device = try OpenCLDevice(index: 0)
    try prepare(device)
    #expect(try device.programs { _, _ in true }.isEmpty)
    try add(device, times: 1)
    var names: [String] = []
    #expect(
      try device.programs { program, entry in
        names.append("\(program) \(entry)")
        return false
      }.isEmpty)
    #expect(names == ["pointwise/add add"])
    let program = try #require(try device.programs { _, entry in entry == "add" }.first)
    #expect(program.source.contains("kernel void add(") && program.options == "-cl-std=CL1.2")
    #expect(program.log.hasPrefix("CL_SUCCESS"))
  }
}

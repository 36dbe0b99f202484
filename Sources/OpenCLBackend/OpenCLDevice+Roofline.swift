import COpenCL
package import Devices

extension OpenCLDevice {
  package func measureRoofline() throws(DeviceError) -> Roofline? {
    let probe = try RooflineProbe(self)
    let floatRate = try probe.floatRate()
    // Floats hold the products of bytes and their sums exactly, so a kernel may use them instead.
    return Roofline(
      bandwidth: try probe.bandwidth(), floatRate: floatRate,
      integerRate: max(floatRate, try probe.integerRate()))
  }
}

/// The program `probe/roofline` with memory for it.
private final class RooflineProbe {
  private let device: OpenCLDevice
  private let bytes: OwnedBuffer
  private let results: OwnedBuffer
  private let isCPU: Bool
  /// Work-items that keep all compute units busy.
  private let items: Int
  /// Words of a vector, and chains of arithmetic.
  private let width: Int
  private static let chains = 12
  private static let rounds = 100_000

  init(_ device: OpenCLDevice) throws(DeviceError) {
    self.device = device
    isCPU = device.description.isCPU
    items = isCPU ? device.computeUnits * 4 : device.computeUnits * 2048
    width = isCPU ? 16 : 4
    let wanted = Roofline.bytes(beyondCache: device.description.cache)
    let size = min(wanted, device.traits.largestAllocation, device.description.memory / 4)
    func buffer(_ bytes: Int) throws(DeviceError) -> OwnedBuffer {
      var status = CL_SUCCESS
      let raw = apus_cl_create_buffer(device.context.raw, bytes, &status)
      return OwnedBuffer(
        raw: try device.calls.made(
          raw, status, "clCreateBuffer", "\(bytes) bytes for measuring the device"),
        bytes: bytes)
    }
    bytes = try buffer(size)
    results = try buffer(items * 4)
    // Every page, as one that was never written may be no memory at all; and factors that stay finite.
    let part = [Float](repeating: 0.5, count: 1 << 20)
    for offset in stride(from: 0, through: size - part.count * 4, by: part.count * 4) {
      let status = part.withUnsafeBytes {
        apus_cl_write_buffer(device.queue.raw, bytes.raw, offset, $0.count, $0.baseAddress)
      }
      try device.calls.check(status, "clEnqueueWriteBuffer", "measuring the device")
    }
  }

  /// Bytes a second.
  func bandwidth() throws(DeviceError) -> Double {
    let each = bytes.bytes / (4 * width) / items / 4 * 4
    return try rate(
      "read", work: each * items * 4 * width,
      counts: [each, isCPU ? each : 1, isCPU ? 1 : items])
  }

  /// Multiplications and additions a second.
  func floatRate() throws(DeviceError) -> Double {
    try rate(
      "floats", work: 2 * Self.chains * width * Self.rounds * items, counts: [Self.rounds])
  }

  func integerRate() throws(DeviceError) -> Double {
    try rate(
      "integers", work: 8 * Self.chains * width * Self.rounds * items, counts: [Self.rounds])
  }

  /// Units of work a second of one kernel.
  private func rate(_ entry: String, work: Int, counts: [Int]) throws(DeviceError) -> Double {
    let calls = device.calls
    let kernel = try build(entry)
    var index: cl_uint = 0
    func set<Value: BitwiseCopyable>(_ value: Value) throws(DeviceError) {
      let status = withUnsafeBytes(of: value) {
        apus_cl_set_argument(kernel.raw, index, $0.count, $0.baseAddress)
      }
      try calls.check(status, "clSetKernelArg", "argument \(index) of \(entry)")
      index += 1
    }
    for buffer in [bytes, results] {
      try set(Optional(buffer.raw))
      try set(cl_ulong(0))
    }
    for count in counts { try set(cl_uint(clamping: count)) }
    let raw = kernel.raw
    return try Roofline.rate(of: work) { () throws(DeviceError) in
      let status =
        isCPU
        ? apus_cl_enqueue_kernel(device.queue.raw, raw, 1, [items], [1], nil)
        : apus_cl_enqueue_kernel(device.queue.raw, raw, 1, [items], nil, nil)
      try calls.check(status, "clEnqueueNDRangeKernel", "measuring the device")
      try calls.check(apus_cl_finish(device.queue.raw), "clFinish", "measuring the device")
    }
  }

  private func build(_ entry: String) throws(DeviceError) -> OwnedKernel {
    let text = KernelSource.program(
      "probe/roofline", shared: [],
      defines: [
        (name: "WIDTH", value: width), (name: "CHAINS", value: Self.chains),
        (name: "VNNI", value: device.description.features.contains(.vnni) ? 1 : 0),
        (name: "AVX2", value: device.description.features.contains(.avx2) ? 1 : 0),
      ])
    let calls = device.calls
    var status = CL_SUCCESS
    let raw = text.withCString {
      apus_cl_create_program(device.context.raw, $0, text.utf8.count, &status)
    }
    let program = OwnedProgram(
      raw: try calls.made(raw, status, "clCreateProgramWithSource", "probe/roofline"))
    status = apus_cl_build_program(program.raw, device.handle, device.kernels.options())
    try calls.check(status, "clBuildProgram", "probe/roofline")
    return OwnedKernel(
      raw: try calls.made(
        apus_cl_create_kernel(program.raw, entry, &status), status, "clCreateKernel",
        "\(entry) of probe/roofline"))
  }
}

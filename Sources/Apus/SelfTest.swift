import CPUBackend
import Devices
import DiskCache
import OpSuite
import OpenCLBackend

/// Whether a device computes right what a model needs, found out before it is trusted: the tiny cases
/// of OpSuite. A device that passed is not asked again by the same build on the same driver for a
/// week; one that failed is asked each time.
struct SelfTest {
  /// Where verdicts are kept, or nil to find out each time.
  let verdicts: DiskCache?
  private static let trust = 7 * 24 * 3600

  /// What came out.
  struct Outcome {
    /// The first failure, or nil.
    var failure: String?
    /// Whether the device went on with plainer kernels.
    var fellBack = false
  }

  /// Runs the tiny cases of the operations that will be used, unless the device is known to pass.
  func run(on device: any Device, _ keys: Set<OperationKey>) -> Outcome {
    if device.traits.kind == .reference { return Outcome() }
    let key = Self.key(device, keys)
    if let key, verdicts?.load(key, within: Self.trust) != nil { return Outcome() }
    let rows = OpSuite.check(device, keys: keys, tinyOnly: true)
    (device as? OpenCLDevice)?.endSelfTest()
    let outcome = Outcome(
      failure: rows.first { $0.failure != nil }.map { "\($0.key): \($0.failure ?? "")" },
      fellBack: rows.contains { !$0.fallBacks.isEmpty })
    if let key, outcome.failure == nil, !outcome.fellBack {
      verdicts?.store(
        [], under: key,
        label: "self-test of \(keys.count) operations\n\(device.traits.hardware)\n"
          + device.traits.driver)
    }
    return outcome
  }

  /// What a verdict depends on; nil where that cannot be told.
  private static func key(_ device: any Device, _ keys: Set<OperationKey>) -> CacheKey? {
    guard let build = OpenCLDevices.build else { return nil }
    let traits = device.traits
    return CacheKey(
      ["verdict 1", build, OpenCLDevices.hostProcessor, traits.hardware, traits.driver]
        + ((device as? OpenCLDevice)?.identity ?? [])
        // Kernels that are chosen otherwise are other kernels.
        + ((device as? OpenCLDevice)?.tuning.choices.map(\.description) ?? [])
        + keys.map(\.description).sorted())
  }
}

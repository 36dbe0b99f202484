import Devices
import OpSuite

/// How fast a device is at one operation of a known size.
public struct OperationTiming: Sendable {
  /// The operation.
  public var operation: String
  /// The element type.
  public var type: String
  /// Whose layer it is, and its shape.
  public var title: String
  /// Seconds of one launch.
  public var seconds: Double
  /// Bytes that it reads and writes at the least.
  public var bytes: Int
  /// Multiplications and additions.
  public var flops: Int
  /// The least time that the device's limits allow, as a share of the time that it took; nil where the
  /// limits are unknown.
  public var share: Double?
}

extension DeviceInventory {
  /// Times operations at the sizes of known models, one after the other.
  ///
  /// - Parameters:
  ///   - name: The device, as ``list()`` names it.
  ///   - threads: Threads of a CPU, or nil for all.
  ///   - filter: Only operations whose name, type or title contains this.
  ///   - usesTuning: Whether kernels are chosen by what ``DeviceTuning`` found.
  ///   - isCancelled: Asked before each.
  ///   - body: Gets each timing as it is known.
  /// - Throws: ``ApusError`` where the device cannot be opened or fails, or where nothing has that name.
  public static func timeOperations(
    _ name: String, threads: Int? = nil, filter: String = "", usesTuning: Bool = true,
    until isCancelled: () -> Bool = { false }, each body: (OperationTiming) -> Void
  ) async throws(ApusError) {
    let wanted = filter.lowercased()
    let cases = OpSuite.timingCases.filter {
      wanted.isEmpty || "\($0.key) \($0.title)".lowercased().contains(wanted)
    }
    if cases.isEmpty {
      throw ApusError(
        .request,
        "no operation contains '\(filter)'; try a type such as Q4_0, 'attention' or 'ffn_up'")
    }
    do throws(DeviceError) {
      let device = try open(name, threads: threads, usesTuning: usesTuning)
      let limits = try device.measureRoofline()
      for test in cases where !isCancelled() {
        guard let timing = try test.time(on: device) else { continue }
        body(
          OperationTiming(
            operation: test.key.name, type: test.key.type, title: test.title,
            seconds: timing.seconds, bytes: timing.work.bytes, flops: timing.work.flops,
            share: limits.map { $0.seconds(timing.work) / timing.seconds }))
      }
    } catch { throw ApusError(error) }
  }
}

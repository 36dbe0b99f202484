import Devices
import OpSuite
import OpenCLBackend

/// Ways of running one operation on a device: checked by the cases of OpSuite, timed at sizes of models.
final class DeviceBench: TuningBench {
  private let device: OpenCLDevice
  private let group: TuningGroup
  private let rounds: [TimingCase.Rounds]
  /// What the device is set to, once it has run so.
  private var current: Tuning.Choice?
  private let isCancelled: () -> Bool

  /// Makes memory for the cases; nil where the device declines the operation.
  init?(
    _ group: TuningGroup, on device: OpenCLDevice, until isCancelled: @escaping () -> Bool
  ) throws(DeviceError) {
    self.device = device
    self.group = group
    self.isCancelled = isCancelled
    var rounds: [TimingCase.Rounds] = []
    do throws(DeviceError) {
      for (index, test) in group.cases.enumerated() {
        // Checks, which come between, begin at 0.
        let ready = try test.rounds(on: device, firstBuffer: (index + 1) << 20)
        if let ready { rounds.append(ready) }
      }
    } catch {
      for ready in rounds { ready.release() }
      throw error
    }
    self.rounds = rounds
    if rounds.count < group.cases.count {
      release()
      return nil
    }
  }

  /// Gives the memory back, and the device as it was without a tuning.
  func release() {
    device.use(Tuning())
    for ready in rounds { ready.release() }
  }

  var now: Double { isCancelled() ? .infinity : Double(HostClock.now()) * 1e-9 }

  func failure(of choice: Tuning.Choice) -> String? {
    device.use(Tuning([choice]))
    current = nil
    return OpSuite.failure(of: group.key, on: device)
  }

  func time(_ choice: Tuning.Choice) throws(DeviceError) -> [Double] {
    if current != choice {
      device.use(Tuning([choice]))
      current = choice
      for ready in rounds { _ = try ready.run() }
    }
    var seconds: [Double] = []
    for ready in rounds { seconds.append(try ready.run()) }
    return seconds
  }

  /// Why a choice must not be taken for other operations that follow it, or nil.
  func failureOfFollowers(of choice: Tuning.Choice) -> String? {
    device.use(Tuning([choice]))
    current = nil
    let names = ["linear_add", "gated_unit", "attention_inputs", "attend_quantize"]
    var seen: Set<OperationKey> = []
    let type = group.key.type.prefix { $0 != " " }
    for key in OpSuite.cases.map(\.key)
    where names.contains(key.name) && key.type.prefix(while: { $0 != " " }) == type {
      guard seen.insert(key).inserted else { continue }
      if let reason = OpSuite.failure(of: key, on: device) { return "\(key): \(reason)" }
    }
    return nil
  }
}

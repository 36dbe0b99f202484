import Devices

extension Profile {
  /// What a phase was and how fast it went, in a few lines above its table.
  package func heading(_ phase: Phase) -> String {
    guard let summary = summaries[phase] else { return "" }
    let launches = launches(phase)
    let rate = summary.rate.map { ", \(fixed($0, 1)) tokens/s" } ?? ""
    let each = summary.steps == 0 ? 0 : launches.count / summary.steps
    return "\(phase.rawValue): \(summary.tokens) tokens in \(summary.steps) steps, "
      + "\(fixed(summary.seconds * 1e3, 1)) ms\(rate) with recording on; \(each) launches a step, "
      + "which cover \(percent(coverage(phase))) of the time\n"
  }

  /// Devices whose launches the host waited for.
  var waitedFor: Set<Int> { Set(launches.lazy.filter(\.record.isWaitedFor).map(\.device)) }

  /// About a device whose driver keeps no times.
  static let waitingRemark =
    "its driver keeps no times: each launch was waited for, and the whole is slower than without"

  /// The model, its devices, and what those reach at best.
  package var title: String {
    let waiting = waitedFor
    let lost =
      stepsWithoutLaunches == 0
      ? "" : "launches of the last \(stepsWithoutLaunches) steps were too many to keep\n"
    return devices.enumerated().reduce("\(model)\n\(lost)") { text, item in
      let (index, device) = item
      return text
        + "\(device.traits.name): \(device.traits.hardware), \(device.traits.driver)\n"
        + (waiting.contains(index) ? "  \(Self.waitingRemark)\n" : "")
        + (device.roofline.map { "  at best \($0.summary)\n" } ?? "")
    }
  }
}

extension Roofline {
  /// The three limits in words.
  var summary: String {
    "\(fixed(bandwidth / 1e9, 1)) GB/s read, \(fixed(floatRate / 1e9, 0)) GFLOP/s (f32), "
      + "\(fixed(integerRate / 1e9, 0)) GOP/s (int8)"
  }
}

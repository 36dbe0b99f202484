package import Devices
package import OpenCLBackend

/// What a tuner can do with a way of running an operation.
package protocol TuningBench: AnyObject {
  /// Why a choice must not be taken, or nil where it computes what the reference does.
  func failure(of choice: Tuning.Choice) -> String?
  /// Seconds of a launch of each case, as often as it is asked.
  func time(_ choice: Tuning.Choice) throws(DeviceError) -> [Double]
  /// Seconds since some moment.
  var now: Double { get }
}

/// Finds the fastest way of running an operation: all variants as they stand, then the parameters of the
/// best one after the other.
///
/// Times of a shared machine drift, so a way is measured in turns with the best so far, and takes its place
/// only where it is clearly faster twice, and on no case slower.
package struct Tuner {
  /// How much faster it must be.
  package static let margin = 1.03
  /// How much slower a single case may become.
  private static let slack = 0.98
  /// What is so much slower at first sight, in a few turns, is not looked at again.
  private static let hopeless = 0.6
  private static let glance = 3

  /// Turns of one comparison.
  package var turns = 9
  /// When to stop, on the bench's clock.
  package var deadline = Double.infinity

  package init() {}

  /// What came out.
  package struct Finding: Sendable {
    package var best: Tuning.Choice
    /// How much faster it is than what is taken without it.
    package var gain = 1.0
    /// Seconds of the first case, without it and with it.
    package var seconds = (standard: 0.0, best: 0.0)
    /// Ways that were measured, beside the usual one.
    package var measured = 0
    /// Ways that are wrong or that the driver refuses, and why.
    package var refused: [(choice: Tuning.Choice, reason: String)] = []
    /// Whether there was time for all.
    package var isComplete = true
  }

  /// Looks for the best way among variants, the first of which is the usual one.
  package func search(
    _ operation: String, _ rows: Tuning.Rows, among variants: [OpenCLDevice.Variant],
    on bench: any TuningBench
  ) throws(DeviceError) -> Finding? {
    guard let first = variants.first else { return nil }
    let standard = Tuning.Choice(operation: operation, rows: rows, variant: first.name)
    var finding = Finding(best: standard)
    for variant in variants.dropFirst() {
      var choice = standard
      choice.variant = variant.name
      consider(choice, &finding, bench)
    }
    let tunables = variants.first { $0.name == finding.best.variant }?.tunables ?? []
    for tunable in tunables {
      let base = finding.best
      for value in tunable.values where value != tunable.standard {
        var choice = base
        choice.settings.append(Tuning.Setting(tunable.name, value))
        consider(choice, &finding, bench)
      }
    }
    // Steps that were each a gain may be none together.
    if finding.best != standard {
      let whole = try compare(finding.best, with: standard, turns, bench)
      finding.seconds = whole.seconds
      finding.gain = whole.overall
      if whole.overall < Self.margin { (finding.best, finding.gain) = (standard, 1) }
    }
    if finding.best == standard {
      let seconds = try bench.time(standard).first ?? 0
      finding.seconds = (seconds, seconds)
    }
    return finding
  }

  /// Takes a choice for the best where it is.
  private func consider(
    _ choice: Tuning.Choice, _ finding: inout Finding, _ bench: any TuningBench
  ) {
    guard bench.now < deadline else {
      finding.isComplete = false
      return
    }
    if let reason = bench.failure(of: choice) {
      finding.refused.append((choice, reason))
      return
    }
    do throws(DeviceError) {
      finding.measured += 1
      let first = try compare(choice, with: finding.best, Self.glance, bench)
      guard first.overall > Self.hopeless else { return }
      for _ in 0..<2 {
        let found = try compare(choice, with: finding.best, turns, bench)
        guard found.overall >= Self.margin, found.worst >= Self.slack else { return }
      }
      finding.best = choice
    } catch {
      finding.refused.append((choice, "\(error)"))
    }
  }

  /// How much faster one choice is than another: over all cases, and where it does worst.
  private struct Comparison {
    var overall: Double
    var worst: Double
    var seconds: (standard: Double, best: Double)
  }

  private func compare(
    _ choice: Tuning.Choice, with other: Tuning.Choice, _ turns: Int, _ bench: any TuningBench
  ) throws(DeviceError) -> Comparison {
    var mine: [[Double]] = []
    var others: [[Double]] = []
    for turn in 0..<turns {
      // Whoever comes second finds caches as the first left them.
      if turn % 2 == 0 { others.append(try bench.time(other)) }
      mine.append(try bench.time(choice))
      if turn % 2 == 1 { others.append(try bench.time(other)) }
    }
    func median(_ times: [[Double]], _ index: Int) -> Double {
      let sorted = times.compactMap { $0.indices.contains(index) ? $0[index] : nil }.sorted()
      return sorted.isEmpty ? 1 : max(sorted[sorted.count / 2], 1e-12)
    }
    let ratios = (mine.first ?? []).indices.map { median(others, $0) / median(mine, $0) }
    guard let worst = ratios.min() else {
      return Comparison(overall: 1, worst: 1, seconds: (0, 0))
    }
    // The harmonic mean, as cases count alike whatever they take.
    let overall = Double(ratios.count) / ratios.reduce(0) { $0 + 1 / $1 }
    return Comparison(
      overall: overall, worst: worst, seconds: (median(others, 0), median(mine, 0)))
  }
}

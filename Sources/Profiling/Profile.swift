package import Devices

/// Everything that a recording holds, as values: what tables, traces and pages are made of.
package struct Profile: Sendable {
  /// The two halves of a generation; their costs have little in common.
  package enum Phase: String, Sendable, Hashable, CaseIterable {
    case prefill
    case decode
  }

  /// A device that the model runs on.
  package struct OnDevice: Sendable {
    package var traits: DeviceTraits
    /// What it reaches at best, where that is known.
    package var roofline: Roofline?

    package init(traits: DeviceTraits, roofline: Roofline?) {
      self.traits = traits
      self.roofline = roofline
    }
  }

  /// A stretch of time on one of the host's tracks, in nanoseconds of `HostClock`.
  package struct Span: Sendable, Hashable {
    package enum Track: String, Sendable, Hashable, CaseIterable {
      case requests
      case steps
      case host
    }

    package var track: Track
    package var name: String
    package var started: Int64
    package var ended: Int64
    /// Numbers that belong to it.
    package var numbers: [String: Int]

    package init(
      _ track: Track, _ name: String, started: Int64, ended: Int64, numbers: [String: Int] = [:]
    ) {
      self.track = track
      self.name = name
      self.started = started
      self.ended = ended
      self.numbers = numbers
    }
  }

  /// A launch, and where it belongs.
  package struct Launch: Sendable {
    /// Its device's place in ``Profile/devices``.
    package var device: Int
    package var step: Int
    package var phase: Phase
    package var record: LaunchRecord

    package init(device: Int, step: Int, phase: Phase, record: LaunchRecord) {
      self.device = device
      self.step = step
      self.phase = phase
      self.record = record
    }
  }

  /// What a phase took as a whole.
  package struct Summary: Sendable, Hashable {
    package var tokens: Int
    package var steps: Int
    package var started: Int64
    package var ended: Int64

    package init(tokens: Int, steps: Int, started: Int64, ended: Int64) {
      self.tokens = tokens
      self.steps = steps
      self.started = started
      self.ended = ended
    }

    package var seconds: Double { Double(ended - started) / 1e9 }
    /// Tokens a second, or nil where there were none.
    package var rate: Double? { tokens > 0 && seconds > 0 ? Double(tokens) / seconds : nil }
  }

  /// The model's name.
  package var model: String
  package var devices: [OnDevice]
  package var summaries: [Phase: Summary]
  package var spans: [Span]
  package var launches: [Launch]
  /// Steps whose launches were not kept, since there were too many.
  package var stepsWithoutLaunches = 0

  package init(
    model: String, devices: [OnDevice], summaries: [Phase: Summary], spans: [Span],
    launches: [Launch]
  ) {
    self.model = model
    self.devices = devices
    self.summaries = summaries
    self.spans = spans
    self.launches = launches
  }

  package func launches(_ phase: Phase) -> [Launch] { launches.filter { $0.phase == phase } }

  /// The share of a phase's time in which at least one launch ran.
  package func coverage(_ phase: Phase) -> Double {
    guard let summary = summaries[phase], summary.ended > summary.started else { return 0 }
    var covered: Int64 = 0
    var reached = summary.started
    for times in launches(phase).map(\.record.times).sorted(by: { $0.started < $1.started }) {
      let ended = min(times.ended, summary.ended)
      covered += max(0, ended - max(times.started, reached))
      reached = max(reached, ended)
    }
    return Double(covered) / Double(summary.ended - summary.started)
  }
}

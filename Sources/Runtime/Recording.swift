package import Devices
package import ModelGraph
import Planning
import Scheduling

/// One step, as it went. Times are nanoseconds of `HostClock`.
package struct StepRecord: Sendable {
  /// What the host did in a step, in this order.
  package enum Phase: String, Sendable, Hashable, CaseIterable {
    /// Deciding what the step computes.
    case schedule
    /// Bringing the numbers of the step to the devices.
    case write
    /// Handing launches over; on a device that computes at once, computing.
    case submit
    /// Waiting for the logits.
    case wait
    /// Collecting the records: what a run without a recording does not do.
    case record
    /// Picking a token.
    case sample
    /// Guessing what the next step computes along, where tokens are proposed.
    case guess
  }

  /// The request that it belongs to.
  package var request: Int
  /// Whether it computes the prompt; the others compute a token each, and those that are proposed.
  package var isPrefill: Bool
  package var rows = 0
  package var outputs = 0
  package var started: Int64
  /// When each phase ended, in order.
  package var phases: [(phase: Phase, ended: Int64)] = []
  /// Launches of each device of the plan, in order; none where there were too many to keep.
  package var launches: [Slice<LaunchLog>] = []
  /// For each device, launches that were noted when it ended.
  fileprivate var counts: [Int] = []
  /// What rows of attention saw.
  package var sights: [Reach: Sight] = [:]

  /// How far rows of a layer see, how many pages of that they read, and which part of it.
  package struct Reach: Sendable, Hashable {
    package var window: Int?
    package var pages: Int?
    package var stage = AttentionStage.whole
  }

  package var ended: Int64 { phases.last?.ended ?? started }

  /// What an instruction's rows saw, where it is attention.
  package func sight(of instruction: Instruction) -> Sight {
    switch instruction.operation {
    case .attend(let attention, _), .fused(.attendQuantize(let attention, _)):
      sights[
        Reach(
          window: attention.window, pages: attention.pages?.count,
          // What stages read of chosen pages is counted in these.
          stage: attention.pages == nil ? attention.stage : .whole)] ?? Sight()
    case .weighRows(let attention, _), .sumColumns(let attention, _):
      sights[Reach(window: attention.window)] ?? Sight()
    case .scorePages, .choosePages: sights[Reach()] ?? Sight()
    default: Sight()
    }
  }
}

/// One request, as it went.
package struct RequestRecord: Sendable {
  package var promptTokens: Int
  package var tokens = 0
  package var started: Int64
  package var firstToken: Int64?
  package var ended: Int64
}

/// What was noted between the start of a recording and its end.
package struct Recording: Sendable {
  package var requests: [RequestRecord] = []
  package var steps: [StepRecord] = []
  /// Steps whose launches were not kept, since there were too many.
  package var stepsWithoutLaunches = 0

  /// Launches that are kept at most: some hundred megabytes of records.
  static let mostLaunches = 1 << 18
}

/// Notes what an `EngineLoop` does while somebody wants to know. It belongs to the loop's thread.
final class Recorder {
  private(set) var recording = Recording()
  /// What the devices had noted of the steps so far when that became too much.
  private var kept: [LaunchLog]?

  func begin(promptTokens: Int) {
    let now = HostClock.now()
    recording.requests.append(
      RequestRecord(promptTokens: promptTokens, started: now, ended: now))
  }

  /// Notes a token that was picked.
  func token() {
    guard let request = recording.requests.indices.last else { return }
    recording.requests[request].tokens += 1
    if recording.requests[request].firstToken == nil {
      recording.requests[request].firstToken = HostClock.now()
    }
  }

  func end() {
    guard let request = recording.requests.indices.last else { return }
    recording.requests[request].ended = HostClock.now()
  }

  func beginStep() {
    recording.steps.append(
      StepRecord(
        request: recording.requests.count - 1,
        isPrefill: recording.requests.last?.firstToken == nil, started: HostClock.now()))
  }

  func mark(_ phase: StepRecord.Phase) {
    guard let step = recording.steps.indices.last else { return }
    recording.steps[step].phases.append((phase, HostClock.now()))
  }

  /// Notes what a step was. Its launches stay with the devices: whoever wants more of them than that
  /// works it out when no clock runs.
  func collect(
    _ step: StepPlan, _ layout: StepLayout, from devices: [any Device]
  ) throws(DeviceError) {
    guard let index = recording.steps.indices.last else { return }
    recording.steps[index].rows = step.rowCount
    recording.steps[index].outputs = step.outputRows.count
    for window in layout.windows {
      recording.steps[index].sights[StepRecord.Reach(window: window)] = Sight(
        begin: step.begin(window: window), end: step.end, table: step.table)
    }
    if step.latest != nil {
      recording.steps[index].sights[StepRecord.Reach(stage: .first)] = Sight(
        begin: step.latestBegin, end: step.end, table: step.table)
      recording.steps[index].sights[StepRecord.Reach(stage: .last)] = Sight(
        begin: step.begin, end: step.latestBegin, table: step.table)
    }
    if step.chooses, layout.turnsSinks {
      recording.steps[index].sights[StepRecord.Reach(pages: 1)] = Sight(
        begin: step.begin, end: step.sinkEnd(pageTokens: KVLayout.pageTokens), table: step.table)
    }
    for pages in layout.choices where step.chooses {
      recording.steps[index].sights[StepRecord.Reach(pages: pages)] = Sight(
        begin: step.begin, end: step.end(pages: pages, pageTokens: KVLayout.pageTokens),
        table: step.table)
    }
    if step.chooses, let (layers, stride) = layout.kept {
      // Layers keep more or less; what they read is the same on average.
      let ends = (0..<layers).map { step.keptEnd(place: $0, pageTokens: KVLayout.pageTokens)[0] }
      recording.steps[index].sights[StepRecord.Reach(pages: stride)] = Sight(
        begin: step.begin, end: [ends.reduce(0, +) / Int32(layers)], table: step.table)
    }
    let counts = devices.map(\.launchCount)
    if kept == nil {
      recording.steps[index].counts = counts
      if counts.reduce(0, +) >= Recording.mostLaunches { kept = try take(devices) }
    } else {
      if counts.contains(where: { $0 > 0 }) { recording.stepsWithoutLaunches += 1 }
      _ = try take(devices)
    }
  }

  private func take(_ devices: [any Device]) throws(DeviceError) -> [LaunchLog] {
    var logs: [LaunchLog] = []
    for device in devices { logs.append(try device.takeRecords()) }
    return logs
  }

  /// Everything, with the launches of each step.
  func finish(_ devices: [any Device]) throws(DeviceError) -> Recording {
    let rest = try take(devices)
    for (device, log) in (kept ?? rest).enumerated() {
      var first = 0
      for step in recording.steps.indices where !recording.steps[step].counts.isEmpty {
        let end = recording.steps[step].counts[device]
        recording.steps[step].launches.append(log[first..<end])
        first = end
      }
    }
    return recording
  }
}

extension EngineLoop {
  /// The devices of the plan, for whoever asks them on this thread.
  package var devices: [any Device] { executor.devices }

  /// Notes requests, steps and launches from now on.
  package func startRecording() throws(EngineError) {
    do throws(DeviceError) {
      for device in executor.devices { try device.startRecording() }
    } catch { throw .device(error) }
    executor.recorder = Recorder()
  }

  /// Stops, and hands over what was noted.
  package func stopRecording() throws(EngineError) -> Recording {
    defer { executor.recorder = nil }
    let noted = Result { () throws(DeviceError) in
      try executor.recorder?.finish(executor.devices) ?? Recording()
    }
    do throws(DeviceError) {
      for device in executor.devices { try device.stopRecording() }
      return try noted.get()
    } catch { throw .device(error) }
  }
}

import COpenCL
import Devices
import ModelGraph

/// Notes the launches of one queue: events while they run, records once they have ended.
///
/// Where the driver keeps no times, or none to go by (rusticl 22.3), each launch is waited for between two looks at the host's clock.
final class LaunchRecorder {
  /// Events that are held at most: a driver keeps something for each.
  private static let most = 1024

  private let queue: cl_command_queue
  private let calls: CallCheck
  /// Nil where the driver keeps no times.
  private var clock: DeviceClock?
  private var log = LaunchLog()
  /// Events of the last launches of the log, whose times are not known yet.
  private var events: [cl_event] = []
  /// How many of those, from the first on, are known to have ended.
  private var ended = 0
  /// When the queue was last found to be idle, on the host's clock: what had been enqueued had ended by then.
  private var idle = HostClock.now()

  /// A recorder of a queue that outlives it and is idle.
  init(queue: cl_command_queue, calls: CallCheck) throws(DeviceError) {
    self.queue = queue
    self.calls = calls
    clock = try DeviceClock(queue, calls)
    events.reserveCapacity(Self.most)
  }

  deinit { for event in events { apus_cl_release_event(event) } }

  /// Launches that were noted and not taken.
  var count: Int { log.count }

  /// The host has just waited for all launches.
  func waited() { idle = HostClock.now() }

  /// Launches from now on are of these instructions. `isIdle`: whether all before them have ended.
  func begin(
    _ instructions: [Instruction], _ sizes: SymbolSizes, isIdle: Bool
  ) throws(DeviceError) {
    if isIdle {
      ended = events.count
      try clock?.adjust(queue, calls)
    }
    log.begin(instructions, sizes)
  }

  /// Enqueues a launch of one of them.
  func enqueue(_ launch: PreparedLaunch, of index: Int, singly: Bool) throws(DeviceError) {
    if events.count >= Self.most { try collect() }
    let enqueued = HostClock.now()
    var event: cl_event?
    try launch.enqueue(on: queue, singly: singly, event: &event)
    guard let event else { return }
    events.append(event)
    log.note(
      index, place: launch.place, variant: launch.name,
      LaunchRecord.Times(started: enqueued, ended: enqueued),
      isSequel: launch.row.isSequel)
    if clock == nil { try wait() }
  }

  /// Waits for the last launch between two looks at the host's clock.
  private func wait() throws(DeviceError) {
    let submitted = HostClock.now()
    let status = apus_cl_finish(queue)
    let ended = HostClock.now()
    if let event = events.popLast() { apus_cl_release_event(event) }
    try calls.check(status, "clFinish", "a launch that is recorded")
    let last = log.entries.count - 1
    log.entries[last].times.submitted = submitted
    log.entries[last].times.started = submitted
    log.entries[last].times.ended = ended
    log.entries[last].isWaitedFor = true
  }

  /// All launches so far; waits for them.
  func take() throws(DeviceError) -> LaunchLog {
    try collect()
    return log.take()
  }

  /// Waits for all launches and finds out when they ran.
  private func collect() throws(DeviceError) {
    guard clock != nil, !events.isEmpty else { return }
    try calls.check(apus_cl_finish(queue), "clFinish", "launches that are recorded")
    waited()
    ended = events.count
    try collectEnded()
  }

  /// Finds out when launches ran that have ended: a step late, so that nobody waits for it.
  func collectEnded() throws(DeviceError) {
    guard clock != nil, ended > 0 else { return }
    let first = log.entries.count - events.count
    defer {
      for event in events[..<ended] { apus_cl_release_event(event) }
      events.removeFirst(ended)
      ended = 0
    }
    // What all of them tell of the clock comes before what the clock tells of any.
    var stages: [DeviceClock.Stages] = []
    stages.reserveCapacity(ended)
    for index in 0..<ended {
      var times = DeviceClock.Stages(0, 0, 0, 0)
      try calls.check(
        DeviceClock.read(events[index], &times), "clGetEventProfilingInfo", "times of a launch")
      clock?.learn(that: times.0, isNotBefore: log.entries[first + index].times.enqueued)
      stages.append(times)
    }
    for times in stages { clock?.learn(that: times.3, isNotAfter: idle) }
    guard let clock else { return }
    for index in 0..<ended { log.entries[first + index].times.take(stages[index], by: clock) }
  }
}

extension LaunchRecord.Times {
  /// Takes the stages of a launch on the device's clock. None is before the one before it, though some
  /// drivers mix two clocks.
  fileprivate mutating func take(_ stages: DeviceClock.Stages, by clock: DeviceClock) {
    queued = clock.host(stages.0)
    submitted = max(queued, clock.host(stages.1))
    started = max(submitted, clock.host(stages.2))
    ended = max(started, clock.host(stages.3))
  }
}

/// How far the clock of a device is from the host's.
///
/// A marker on an idle queue ends between two looks at the host's clock, so the distance lies in an
/// interval, as wide as a marker takes, and that is long where somebody else has the cores; clocks drift,
/// so it is measured again now and then, and moved only as far as a later interval proves. Launches tell
/// more: none was queued before it was enqueued, none ended after it was waited for.
struct DeviceClock {
  /// When a command was queued, submitted, started and ended.
  typealias Stages = (cl_ulong, cl_ulong, cl_ulong, cl_ulong)

  private var distance: Int64
  /// The most that it can be.
  private var most: Int64
  private var measured: Int64

  /// Nanoseconds after which the distance is measured again: in that time, clocks that differ by
  /// fifty parts in a million drift apart by 2.5 µs.
  private static let lifetime: Int64 = 50_000_000
  private static let trials = 8
  /// The last measurement begins this long after the first one ended, at least: a driver that makes
  /// times up is found out by then, however long somebody else had the cores in between.
  private static let probation: Int64 = 2_000_000
  /// By how much two measurements may contradict each other.
  private static let allowance: Int64 = 200_000

  /// Measures the distance, or is nil where the driver keeps no times, or such as have nothing to do
  /// with time.
  init?(_ queue: cl_command_queue, _ calls: CallCheck) throws(DeviceError) {
    guard let first = try Self.measure(queue, calls) else { return nil }
    let start = HostClock.now()
    var (least, most) = (first.lowerBound, first.upperBound)
    var trial = 1
    var begun = start
    while trial < Self.trials || begun - start < Self.probation {
      begun = HostClock.now()
      guard let range = try Self.measure(queue, calls) else { return nil }
      trial += 1
      least = max(least, range.lowerBound)
      most = min(most, range.upperBound)
      guard least < most &+ Self.allowance else { return nil }
    }
    // They may contradict each other by a little.
    distance = min(least, most) + abs(most - least) / 2
    self.most = max(distance, most)
    measured = HostClock.now()
  }

  /// Measures again, if that is due.
  mutating func adjust(_ queue: cl_command_queue, _ calls: CallCheck) throws(DeviceError) {
    guard HostClock.now() - measured > Self.lifetime,
      let range = try Self.measure(queue, calls)
    else { return }
    distance = min(max(distance, range.lowerBound), range.upperBound)
    most = max(distance, min(most, range.upperBound))
    measured = HostClock.now()
  }

  /// Takes into account that a time of the device was not before one of the host.
  mutating func learn(that time: cl_ulong, isNotBefore host: Int64) {
    let least = host &- Int64(truncatingIfNeeded: time)
    if least > distance { distance = min(least, most) }
  }

  /// Takes into account that a time of the device was not after one of the host.
  mutating func learn(that time: cl_ulong, isNotAfter host: Int64) {
    most = min(most, host &- Int64(truncatingIfNeeded: time))
    distance = min(distance, most)
  }

  /// A time of the device on the host's clock.
  func host(_ time: cl_ulong) -> Int64 { Int64(truncatingIfNeeded: time) &+ distance }

  /// What the distance may be, or nil where the driver keeps no times.
  private static func measure(
    _ queue: cl_command_queue, _ calls: CallCheck
  ) throws(DeviceError) -> ClosedRange<Int64>? {
    let before = HostClock.now()
    var event: cl_event?
    try calls.check(
      apus_cl_enqueue_marker(queue, &event), "clEnqueueMarkerWithWaitList", "aligning the clocks")
    defer { apus_cl_release_event(event) }
    try calls.check(apus_cl_finish(queue), "clFinish", "aligning the clocks")
    let after = HostClock.now()
    var times = Stages(0, 0, 0, 0)
    guard let event, read(event, &times) == CL_SUCCESS, times.3 > 0 else { return nil }
    let ended = Int64(truncatingIfNeeded: times.3)
    return (before &- ended)...(after &- ended)
  }

  static func read(
    _ event: cl_event, _ times: inout Stages
  ) -> cl_int {
    withUnsafeMutableBytes(of: &times) {
      apus_cl_event_times(event, $0.baseAddress?.assumingMemoryBound(to: cl_ulong.self))
    }
  }
}

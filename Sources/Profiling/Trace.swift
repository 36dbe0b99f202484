import Devices

/// A recording in the trace format of Chrome, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
///
/// Process 1 is the host, with a track each for requests, steps and what the host does in a step. Each
/// device is a process with its queue; launches that overlap there get further tracks, so that what lies
/// on one track is nested or apart. An arrow leads from where the host hands a launch over to the launch.
package struct Trace {
  private let profile: Profile
  /// Where time begins, so that a viewer does not start years from the first launch.
  private let start: Int64
  private var events: [String] = []

  package init(_ profile: Profile) {
    self.profile = profile
    let starts =
      profile.spans.map(\.started) + profile.launches.map(\.record.times.enqueued)
    start = starts.min() ?? 0
  }

  private static let host = 1
  private static func process(_ device: Int) -> Int { device + 2 }
  private static func thread(_ track: Profile.Span.Track) -> Int {
    (Profile.Span.Track.allCases.firstIndex(of: track) ?? 0) + 1
  }

  /// One JSON object.
  package var text: String {
    var trace = self
    trace.nameTracks()
    for span in profile.spans { trace.append(span) }
    for device in profile.devices.indices { trace.appendLaunches(device) }
    return "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"model\":\(quoted(profile.model))},"
      + "\"traceEvents\":[\n" + trace.events.joined(separator: ",\n") + "\n]}\n"
  }

  private mutating func nameTracks() {
    name("process_name", Self.host, 0, "host")
    for track in Profile.Span.Track.allCases {
      name("thread_name", Self.host, Self.thread(track), track.rawValue)
    }
    for (index, device) in profile.devices.enumerated() {
      name(
        "process_name", Self.process(index), 0,
        "\(device.traits.name): \(device.traits.hardware)")
    }
  }

  private mutating func name(_ kind: String, _ process: Int, _ thread: Int, _ name: String) {
    events.append(
      "{\"ph\":\"M\",\"name\":\"\(kind)\",\"pid\":\(process),\"tid\":\(thread),"
        + "\"args\":{\"name\":\(quoted(name))}}")
  }

  private mutating func append(_ span: Profile.Span) {
    let numbers = span.numbers.sorted { $0.key < $1.key }
      .map { "\(quoted($0.key)):\($0.value)" }.joined(separator: ",")
    events.append(
      "{\"ph\":\"X\",\"name\":\(quoted(span.name)),\"cat\":\"\(span.track.rawValue)\","
        + place(Self.host, Self.thread(span.track), span.started)
        + ",\"dur\":\(micros(span.ended - span.started)),\"args\":{\(numbers)}}")
  }

  private mutating func appendLaunches(_ device: Int) {
    /// When each track of the queue is free again.
    var free: [Int64] = []
    let launches = profile.launches.enumerated().filter { $0.element.device == device }
      .sorted { $0.element.record.times.started < $1.element.record.times.started }
    for (number, launch) in launches {
      let times = launch.record.times
      let lane = free.firstIndex { $0 <= times.started } ?? free.count
      if lane == free.count {
        free.append(0)
        name(
          "thread_name", Self.process(device), lane + 1,
          lane == 0 ? "queue" : "queue, overlapping \(lane)")
      }
      free[lane] = times.ended
      append(launch, Self.process(device), lane + 1)
      // A device that computes on the thread that asks needs no arrow.
      if times.enqueued < times.started { appendArrow(number, times, device, lane) }
    }
  }

  private mutating func append(_ launch: Profile.Launch, _ process: Int, _ thread: Int) {
    let record = launch.record
    let times = record.times
    let work = record.work
    let layer = record.layer.map { ",\"layer\":\($0)" } ?? ""
    events.append(
      "{\"ph\":\"X\",\"name\":\(quoted(record.label)),\"cat\":\"launch\","
        + place(process, thread, times.started) + ",\"dur\":\(micros(times.duration)),"
        + "\"args\":{\"op\":\(quoted("\(record.key)"))\(layer),"
        + "\"variant\":\(quoted(record.variant)),\"shape\":\(quoted(record.shape)),"
        + "\"rows\":\(record.rows),\"step\":\(launch.step),\"bytes_read\":\(work.bytesRead),"
        + "\"bytes_written\":\(work.bytesWritten),\"flops\":\(work.flops),"
        + "\"enqueued_us\":\(micros(times.enqueued - start)),"
        + "\"queued_us\":\(micros(times.queued - start)),"
        + "\"submitted_us\":\(micros(times.submitted - start))}}")
  }

  private mutating func appendArrow(
    _ number: Int, _ times: LaunchRecord.Times, _ device: Int, _ lane: Int
  ) {
    let head = "\"name\":\"launch\",\"cat\":\"launch\",\"id\":\(number),"
    events.append(
      "{\"ph\":\"s\",\(head)" + place(Self.host, Self.thread(.host), times.enqueued) + "}")
    events.append(
      "{\"ph\":\"f\",\"bp\":\"e\",\(head)"
        + place(Self.process(device), lane + 1, times.started) + "}")
  }

  private func place(_ process: Int, _ thread: Int, _ time: Int64) -> String {
    "\"pid\":\(process),\"tid\":\(thread),\"ts\":\(micros(time - start))"
  }

  /// The format counts in microseconds; three decimals keep the nanoseconds.
  private func micros(_ nanoseconds: Int64) -> String { fixed(Double(nanoseconds) / 1e3, 3) }
}

/// A JSON string.
func quoted(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": quoted += "\\\""
    case "\\": quoted += "\\\\"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}

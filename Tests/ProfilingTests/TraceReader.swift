import Foundation
import Testing

/// A trace read by the rules of the format ("Trace Event Format", Google): what a viewer would stumble
/// over is a complaint.
struct TraceReader {
  struct Event {
    var phase: String
    var name: String
    var process: Int
    var thread: Int
    var time: Double
    var duration: Double
    var values: [String: Any]
    var arguments: [String: Any]
  }

  private(set) var events: [Event] = []
  private(set) var complaints: [String] = []

  init(_ text: String) throws {
    let json = try JSONSerialization.jsonObject(with: Data(text.utf8))
    let root = try #require(json as? [String: Any], "a trace is an object")
    let list = try #require(root["traceEvents"] as? [[String: Any]], "with a list of events")
    if let unit = root["displayTimeUnit"] as? String, unit != "ns", unit != "ms" {
      complaints.append("displayTimeUnit \(unit)")
    }
    for values in list { read(values) }
    checkNames()
    checkNesting()
    checkArrows()
  }

  private mutating func read(_ values: [String: Any]) {
    guard let phase = values["ph"] as? String, let name = values["name"] as? String,
      let process = values["pid"] as? Int, let thread = values["tid"] as? Int
    else { return complaints.append("an event without ph, name, pid or tid: \(values)") }
    guard ["M", "X", "s", "f"].contains(phase) else {
      return complaints.append("\(name): phase \(phase) is not one that is written")
    }
    let time = values["ts"] as? Double
    let duration = values["dur"] as? Double
    if phase != "M", time == nil { complaints.append("\(name): no ts") }
    if phase == "X", (duration ?? -1) < 0 { complaints.append("\(name): no dur, or less than 0") }
    if let time, time < 0 { complaints.append("\(name): before the start") }
    events.append(
      Event(
        phase: phase, name: name, process: process, thread: thread, time: time ?? 0,
        duration: duration ?? 0, values: values,
        arguments: values["args"] as? [String: Any] ?? [:]))
  }

  /// Every process and thread that something happens in has a name, and one only.
  private mutating func checkNames() {
    var processes: [Int: Int] = [:]
    var threads: [[Int]: Int] = [:]
    for event in events where event.phase == "M" {
      guard event.arguments["name"] is String else {
        complaints.append("\(event.name) without a name")
        continue
      }
      switch event.name {
      case "process_name": processes[event.process, default: 0] += 1
      case "thread_name": threads[[event.process, event.thread], default: 0] += 1
      default: complaints.append("metadata \(event.name)")
      }
    }
    for event in events where event.phase != "M" {
      if processes[event.process] != 1 { complaints.append("process \(event.process) has no name") }
      if threads[[event.process, event.thread]] != 1 {
        complaints.append("thread \(event.thread) of \(event.process) has no name")
      }
    }
  }

  /// Complete events of one thread lie inside one another or apart.
  private mutating func checkNesting() {
    let slices = Dictionary(grouping: events.filter { $0.phase == "X" }) {
      [$0.process, $0.thread]
    }
    // Times have three decimals, as doubles.
    let rounding = 1e-4
    for thread in slices.values {
      var open: [Event] = []
      let order = thread.sorted { ($0.time, -$0.duration) < ($1.time, -$1.duration) }
      for event in order {
        while let last = open.last, last.time + last.duration <= event.time + rounding {
          open.removeLast()
        }
        if let last = open.last,
          event.time + event.duration > last.time + last.duration + rounding
        {
          complaints.append(
            "\(event.name) at \(event.time) begins in \(last.name) and ends after it")
        }
        open.append(event)
      }
    }
  }

  /// An arrow begins once and ends once, not before it began, both inside a slice.
  private mutating func checkArrows() {
    let arrows = Dictionary(grouping: events.filter { $0.phase == "s" || $0.phase == "f" }) {
      $0.values["id"] as? Int ?? -1
    }
    for (id, ends) in arrows {
      guard id >= 0, ends.count == 2, let begin = ends.first(where: { $0.phase == "s" }),
        let end = ends.first(where: { $0.phase == "f" }), begin.time <= end.time,
        end.values["bp"] as? String == "e"
      else {
        complaints.append("arrow \(id) has \(ends.count) ends, or the wrong ones")
        continue
      }
      for point in ends {
        let isInside = events.contains {
          $0.phase == "X" && $0.process == point.process && $0.thread == point.thread
            && $0.time <= point.time + 1e-4 && point.time <= $0.time + $0.duration + 1e-4
        }
        if !isInside { complaints.append("arrow \(id) ends in no slice at \(point.time)") }
      }
    }
  }

  /// The slices of a thread by its name.
  func slices(_ name: String) -> [Event] {
    let threads = events.filter {
      $0.name == "thread_name" && $0.arguments["name"] as? String == name
    }
    .map { [$0.process, $0.thread] }
    return events.filter { $0.phase == "X" && threads.contains([$0.process, $0.thread]) }
  }
}

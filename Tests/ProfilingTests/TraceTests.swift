import Devices
import Profiling
import Testing

@Suite struct TraceTests {
  @Test func aTraceKeepsTheRulesOfTheFormat() throws {
    let profile = SampleProfile.profile
    let trace = try TraceReader(Trace(profile).text)
    #expect(trace.complaints == [])
    #expect(trace.slices("requests").map(\.name) == ["request 0"])
    #expect(trace.slices("steps").map(\.name) == ["prefill", "decode", "decode", "decode"])
    let launches = trace.slices("queue")
    #expect(launches.count == profile.launches.count)
    // Everything lies in the run, and on the host's clock.
    for event in trace.events where event.phase != "M" {
      #expect(event.time >= 0 && event.time + event.duration <= 300)
    }
    let first = try #require(launches.first { $0.arguments["step"] as? Int == 1 })
    #expect(first.name == "attn_norm" && first.time == 155 && first.duration == 0.1)
    #expect(first.arguments["op"] as? String == "rms_norm f32")
    #expect(first.arguments["variant"] as? String == "test/\"kernel\" 1×1")
    #expect(first.arguments["layer"] as? Int == 0)
    #expect(first.arguments["shape"] as? String == "1 × 576 → 576")
    let output = try #require(launches.first { $0.name == "output" })
    #expect(output.arguments["layer"] == nil)
    let stages = ["enqueued_us", "queued_us", "submitted_us"].map { first.arguments[$0] as? Double }
    #expect(stages == [154, 154.1, 154.5])
  }

  /// Launches that overlap cannot share a track.
  @Test func overlapsGetATrackOfTheirOwn() throws {
    var profile = SampleProfile.profile
    let second = profile.launches.map { launch in
      var later = launch
      later.record.times.started += 30
      later.record.times.ended += 30
      return later
    }
    profile.launches += second
    let trace = try TraceReader(Trace(profile).text)
    #expect(trace.complaints == [])
    #expect(!trace.slices("queue, overlapping 1").isEmpty)
    let all = trace.events.filter { $0.values["cat"] as? String == "launch" && $0.phase == "X" }
    #expect(all.count == profile.launches.count)
  }

  /// The reader finds what it is there for.
  @Test(arguments: [
    (#""ph":"X","name":"a","pid":1,"tid":1,"ts":0,"dur":5"#, "ends after it"),
    (#""ph":"X","name":"a","pid":1,"tid":1,"ts":0,"dur":-5"#, "less than 0"),
    (#""ph":"X","name":"a","pid":1,"tid":2,"ts":0,"dur":1"#, "has no name"),
    (#""ph":"X","name":"a","pid":1,"ts":0,"dur":1"#, "without ph"),
    (#""ph":"Q","name":"a","pid":1,"tid":1,"ts":0"#, "phase Q"),
    (#""ph":"s","name":"a","id":1,"pid":1,"tid":1,"ts":4"#, "has 1 ends"),
  ])
  func theReaderComplains(event: String, complaint: String) throws {
    let names = ["process", "thread"].map {
      #"{"ph":"M","name":"\#($0)_name","pid":1,"tid":1,"args":{"name":"n"}}"#
    }
    let sound = #"{"ph":"X","name":"b","pid":1,"tid":1,"ts":3,"dur":10}"#
    let text = "{\"traceEvents\":[\((names + [sound, "{\(event)}"]).joined(separator: ","))]}"
    let trace = try TraceReader(text)
    #expect(trace.complaints.contains { $0.contains(complaint) }, "\(trace.complaints)")
  }
}
